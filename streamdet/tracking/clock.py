"""Where a run stands in the time of its source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

from streamdet.types import Frame


@dataclass(frozen=True, slots=True)
class Moment:
    """When a frame is shown: its exact `time` in s, and its `index`."""

    time: Fraction
    index: int

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """Return the moment of `frame`."""
        return cls(frame.time, frame.index)


@dataclass(frozen=True, slots=True)
class Clock:
    """The frame that was detected in last, `updated`, and the last one of all, `shown`, of the source `source_id`.

    The id is None where whatever comes next is another source.
    """

    source_id: str | None
    updated: Moment
    shown: Moment

    def goes_on(self, frame: Frame) -> bool:
        """Whether `frame` is a later one of the same source, which does not start over with it."""
        return self.source_id == frame.source_id and (frame.time > self.shown.time or frame.index > self.shown.index)

    def before(self, frame: Frame, period_s: Fraction) -> Self:
        """Return this clock set so that `frame` is shown one period after what was shown last."""
        by_s, by_index = frame.time - period_s - self.shown.time, frame.index - 1 - self.shown.index
        updated, shown = (Moment(past.time + by_s, past.index + by_index) for past in (self.updated, self.shown))
        return replace(self, source_id=frame.source_id, updated=updated, shown=shown)

    def elapsed(self, frame: Frame, rate_hz: Fraction | None) -> float:
        """Return the time from the last update to `frame` in periods of the nominal `rate_hz`.

        Without a rate, or where the time stood still or jumped back, frames are counted instead.
        """
        periods = (frame.time - self.updated.time) * (rate_hz or 0)
        return float(periods) if periods > 0 else float(max(frame.index - self.updated.index, 1))
