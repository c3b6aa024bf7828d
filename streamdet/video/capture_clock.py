"""When frames were captured, by the clock of their camera, where the stream tells it."""

from __future__ import annotations

import struct
from typing import Final

import av

from streamdet.types import Clock

# FFmpeg's producer reference time, AVProducerReferenceTime: µs since 1970, and flags.
_SIDE_DATA, _LAYOUT = "prft", struct.Struct("=qi4x")
_RTP_FORMATS = frozenset({"rtsp", "sdp", "rtp"})
# Frames that a decoder holds back, to reorder them or to prove itself.
_MOST_PENDING = 64
# Without a new report the time goes on with that of the packets: a longer step is a jump of theirs.
_LONGEST_STEP_S = 15.0


class CaptureClock:
    """Keeps the capture times of packets for the frames that are decoded from them.

    In a stream of RTP they follow from the RTCP sender reports (RFC 3550, section 6.4.1), of which the first comes some
    seconds after the first frame; in a file from its producer reference times. They are those of the sender's clock,
    right or wrong. Where the packets' own clock jumps they are unknown until the next report.
    """

    def __init__(self, format_name: str) -> None:
        self._name: Final[Clock] = "rtcp" if format_name in _RTP_FORMATS else "container"
        self._pending: dict[int, float] = {}
        self._latest_s: float | None = None
        self._astray = False

    def add(self, packet: av.Packet) -> None:
        """Note when `packet` was captured."""
        captured_s = _captured_s(packet)
        previous_s, self._latest_s = self._latest_s, captured_s
        if captured_s is None or previous_s is None:
            # After the first report FFmpeg's parser gives a packet the time of the one behind it.
            return
        if packet.has_sidedata("rtcp_sr"):
            self._astray = False
        elif abs(captured_s - previous_s) > _LONGEST_STEP_S:
            self._astray = True
        if not self._astray and packet.pts is not None:
            self._pending[packet.pts] = captured_s
            if len(self._pending) > _MOST_PENDING:
                del self._pending[next(iter(self._pending))]

    def time_of(self, pts: int | None) -> tuple[float | None, Clock]:
        """Return the time of capture of the frame with this timestamp, in s since 1970 or None, and its clock."""
        captured_s = None if pts is None else self._pending.pop(pts, None)
        return captured_s, "arrival" if captured_s is None else self._name


def _captured_s(packet: av.Packet) -> float | None:
    if not packet.has_sidedata(_SIDE_DATA):
        return None
    microseconds, _ = _LAYOUT.unpack(bytes(packet.get_sidedata(_SIDE_DATA)))
    # A camera without a clock reports 0, which is 1900.
    return microseconds / 1e6 if microseconds > 0 else None
