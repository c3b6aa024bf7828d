"""Sends a film as packets of RTP and RTCP (RFC 3550), and loses some of them when told to."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from fractions import Fraction

from tests.live.film import LARGEST_PAYLOAD, RATE, Film, rtp_payloads

TICKS_PER_S = 90_000
PERIOD = TICKS_PER_S // int(RATE)
# The clock of the camera when it takes picture 0, in s since 1970.
EPOCH_S = Fraction(1_800_000_000)
NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970
PAYLOAD_TYPE, _SSRC, _SENDER_REPORT = 96, 0x5EED, 200


class Sender:
    """Sends pictures of `reel` in packets of `largest_payload` bytes; `clock` is the RTP time stamp of picture 0.

    A script may change all of them at any time.
    """

    def __init__(self, reel: Film) -> None:
        self.reel, self.clock, self.largest_payload = reel, 1_000_000, LARGEST_PAYLOAD
        self._sequence = self._count = self._bytes = 0

    def transmit(self, channel: int, packet: bytes) -> None:
        """Send `packet`, which is RTP on channel 0 and RTCP on channel 1."""
        raise NotImplementedError

    def send(self, numbers: Iterable[int], *, change: Callable[[bytes], bytes] | None = None) -> None:
        """Send pictures of the film; `change` makes other NAL units of those of their slices."""
        for number in numbers:
            units = self.reel.access_unit(number)
            if change is not None:
                units = tuple(change(unit) if unit in self.reel.units[number] else unit for unit in units)
            self.send_units(units, number)

    def send_units(self, units: Iterable[bytes], number: int) -> None:
        """Send NAL units as the picture with this number, the last packet of which has the marker."""
        payloads = [payload for unit in units for payload in rtp_payloads(unit, self.largest_payload)]
        for payload in payloads:
            self.send_payload(payload, number, last=payload is payloads[-1])

    def send_payload(self, payload: bytes, number: int, *, last: bool) -> None:
        """Send one RTP packet (RFC 3550, section 5.1)."""
        stamp = self._stamp(number)
        head = struct.pack(">BBHII", 0x80, last << 7 | PAYLOAD_TYPE, self._sequence, stamp, _SSRC)
        self._sequence = (self._sequence + 1) % 2**16
        self._count, self._bytes = self._count + 1, self._bytes + len(payload)
        self.transmit(0, head + payload)

    def lose(self, count: int = 1) -> None:
        """Lose the next packets: their sequence numbers are left out."""
        self._sequence = (self._sequence + count) % 2**16

    def report(self, number: int = 0, *, error_s: Fraction | float = 0) -> None:
        """Send a sender report (6.4.1): when picture `number` was taken, by a clock that is wrong by `error_s`."""
        taken_s = EPOCH_S + number / self.reel.rate + Fraction(error_s) + NTP_EPOCH_S
        stamp = self._stamp(number)
        counts = struct.pack(">II", self._count, self._bytes % 2**32)
        ntp = struct.pack(">QI", round(taken_s * 2**32), stamp)
        self.transmit(1, struct.pack(">BBHI", 0x80, _SENDER_REPORT, 6, _SSRC) + ntp + counts)

    def _stamp(self, number: int) -> int:
        return (self.clock + round(number * TICKS_PER_S / self.reel.rate)) % 2**32
