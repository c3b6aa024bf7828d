"""When packets of a live stream arrived: also those that had to wait for their reader."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import av

# Packets that a decoder holds back, to reorder their frames or to prove itself.
MOST_PENDING: Final = 64
# Time stamps that go back, or on by more than this, are those of another clock.
LONGEST_STEP_S: Final = 15.0
READ_S: Final = 0.001  # that a read may take without having waited


class Arrivals:
    """Tells when the packets of a live stream arrived, on the scale of ``time.monotonic()``.

    Who reads too slowly finds packets that have waited in the system's buffers, where nothing tells for how long. But
    their time stamps say how far apart they were sent, and a read that has to wait returns a packet that has just
    arrived. So a packet arrived at its time stamp plus the delay of the latest that were read as they came: the delay
    falls at once when a packet comes earlier than that, and rises by no more than reads have waited.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._delay_s: float | None = None
        self._stamp_s = 0.0
        self._pending: dict[int, float] = {}

    def timed(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        """Yield `packets`, and note when those of video arrived."""
        asked_s = self._now_s()
        for packet in packets:
            if packet.stream.type == "video":
                self._note(packet, self._now_s() - asked_s)
            yield packet
            asked_s = self._now_s()

    def time_of(self, pts: int | None) -> float | None:
        """Return when the packet of the frame with this time stamp arrived, None if that is not known."""
        return None if pts is None else self._pending.pop(pts, None)

    def _note(self, packet: av.Packet, waited_s: float) -> None:
        ticks, now_s = packet.pts if packet.dts is None else packet.dts, self._now_s()
        if ticks is None or packet.time_base is None or packet.pts is None:
            return
        stamp_s = float(ticks * packet.time_base)
        delay_s = now_s - stamp_s
        if self._delay_s is not None and 0 <= stamp_s - self._stamp_s <= LONGEST_STEP_S:
            delay_s = min(delay_s, self._delay_s + max(waited_s - READ_S, 0.0))
        self._delay_s, self._stamp_s = delay_s, stamp_s
        self._pending[packet.pts] = stamp_s + delay_s
        if len(self._pending) > MOST_PENDING:
            del self._pending[next(iter(self._pending))]
