"""What H.264 (ITU-T H.264) tells of its pictures without decoding them: whether one that others need is missing."""

from __future__ import annotations

import re

_START = re.compile(b"\0\0\1")  # of a unit, in a stream of bytes (annex B)
_SLICES, _KEY_SLICE, _SPS = (1, 2), 5, 7
# Bytes of a slice that hold its frame number, whatever is ahead of it, and those of a parameter set.
_SLICE_HEAD, _SPS_LENGTH = 24, 512
# Profiles whose parameter sets tell the format of the colours (section 7.3.2.1.1).
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


class FrameNumbers:
    """Finds gaps in the frame numbers of a stream, from which a decoder infers a loss of pictures (section 7.4.3).

    The number of a picture is one higher than that of the last one that others refer to. Gaps are not looked for in a
    stream that declares them to be intended, or has scaling matrices or separate planes of colour, as cameras do not.
    """

    def __init__(self, parameter_sets: bytes) -> None:
        self._bits: int | None = None
        self._last: int | None = None  # of the last picture that others refer to
        self.has_gap(parameter_sets)

    def has_gap(self, picture: bytes) -> bool:
        """Return whether pictures are missing ahead of `picture`, the units of one in a stream of bytes."""
        for start in _START.finditer(picture):
            head = picture[start.end() : start.end() + 1]
            kind = head[0] & 0x1F if head else 0
            try:
                if kind == _SPS:
                    self._bits = _frame_number_bits(_Bits(picture[start.end() + 1 : start.end() + _SPS_LENGTH]))
                elif kind in (*_SLICES, _KEY_SLICE):
                    content = picture[start.end() + 1 : start.end() + _SLICE_HEAD]
                    return self._follow(content, is_key=kind == _KEY_SLICE, is_reference=bool(head[0] & 0x60))
            except ValueError:  # cut off: the decoder tells
                return False
        return False

    def _follow(self, slice_content: bytes, *, is_key: bool, is_reference: bool) -> bool:
        if self._bits is None:
            return False
        bits = _Bits(slice_content)
        for _ in ("first_mb_in_slice", "slice_type", "pic_parameter_set_id"):
            bits.exponential()
        number, last = bits.number(self._bits), self._last
        self._last = number if is_reference else number - 1
        return not is_key and last is not None and (number - last) % (1 << self._bits) > 1


def _frame_number_bits(sps: _Bits) -> int | None:
    """Return how many bits a frame number has, None for a stream in which no gaps can be found (section 7.3.2.1.1)."""
    profile = sps.number(8)
    sps.number(16)
    sps.exponential()
    if profile in _HIGH_PROFILES:
        has_planes = sps.exponential() == 3 and sps.number(1)
        sps.exponential(), sps.exponential(), sps.number(1)
        if has_planes or sps.number(1):
            return None
    count = sps.exponential() + 4
    order_kind = sps.exponential()
    if order_kind == 0:
        sps.exponential()
    elif order_kind == 1:
        sps.number(1), sps.exponential(), sps.exponential()
        for _ in range(sps.exponential()):
            sps.exponential()
    sps.exponential()
    gaps_are_intended = sps.number(1)
    return None if gaps_are_intended else count


class _Bits:
    """The bits of a unit, read one number after the other; raises ValueError at the end."""

    def __init__(self, unit: bytes) -> None:
        content = unit.replace(b"\0\0\3", b"\0\0")  # section 7.4.1: 3 keeps what looks like a start apart
        self._bits, self._at = "".join(f"{byte:08b}" for byte in content), 0

    def number(self, count: int) -> int:
        """Return the next `count` bits, u(n)."""
        self._at += count
        return int(self._bits[self._at - count : self._at], 2)

    def exponential(self) -> int:
        """Return the next number of Exp-Golomb coding, ue(v); that of a signed one is not its value (section 9.1)."""
        zeros = self._bits.index("1", self._at) - self._at
        self._at += zeros
        return self.number(zeros + 1) - 1
