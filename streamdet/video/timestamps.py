"""Presentation timestamps that only ever grow, whatever the container says."""

from __future__ import annotations


class Timestamps:
    """Repairs the timestamps of one stream as they come, in ticks of its time base.

    All of them are moved by `offset`. A missing one follows its predecessor by `period` ticks; a repeated or slightly
    earlier one becomes the next tick; after a jump back of more than `restart` ticks (a camera that restarted its
    clock) time goes on from where it was. `repaired` counts those that did not grow.
    """

    def __init__(self, period: int, restart: int, offset: int = 0) -> None:
        self.repaired = 0
        self._period, self._restart, self._offset = max(period, 1), restart, offset
        self._last: int | None = None

    def next(self, pts: int | None) -> int:
        """Return the timestamp of the next frame: `pts` itself wherever it can be kept."""
        self._last = self._place(pts)
        return self._last

    def _place(self, pts: int | None) -> int:
        if pts is None:
            return 0 if self._last is None else self._last + self._period
        placed = pts + self._offset
        if self._last is None or placed > self._last:
            return placed
        self.repaired += 1
        if self._last - placed <= self._restart:
            return self._last + 1
        self._offset = self._last + self._period - pts
        return pts + self._offset
