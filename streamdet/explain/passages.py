"""What is told of a track, passage by passage; what goes on for many frames is told once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from streamdet.explain.phrases import at
from streamdet.explain.situation import Moment

JOIN_S = 0.5  # what happens again after no longer than this goes on


@dataclass(slots=True)
class Passage:
    """Something that happened in `count` frames from `first` to `last`; `text` and `details` tell the frame `shown`.

    Of several frames that is the one of the least `weight`, the first of those that weigh as much.
    """

    first: Moment
    last: Moment
    shown: Moment
    count: int
    weight: float
    text: str
    details: Sequence[str]

    @property
    def when(self) -> str:
        """The frames and times, with the frame that is shown."""
        if self.count == 1:
            return at(self.first)
        span = f"frames {self.first.frame} to {self.last.frame} ({self.first.time_s:.2f} to {self.last.time_s:.2f} s)"
        every = self.count == self.last.number - self.first.number + 1
        return f"{span if every else f'{self.count} of {span}'}, as in {self.shown.frame}"

    def goes_on(self, moment: Moment) -> bool:
        """Return whether the same at a later moment belongs to this passage."""
        return moment.number - self.last.number <= 1 or moment.time_s - self.last.time_s <= JOIN_S


class Passages:
    """The passages of a story, `told` in order of their first frames."""

    def __init__(self) -> None:
        self.told: list[Passage] = []
        self._latest: dict[Hashable, Passage] = {}

    def add(self, moment: Moment, text: str, details: Sequence[str] = ()) -> None:
        """Tell something that happens once."""
        self.told.append(Passage(moment, moment, moment, 1, 0.0, text, details))

    def extend(
        self, key: Hashable, moment: Moment, text: str, details: Sequence[str] = (), *, weight: float = 0.0
    ) -> None:
        """Tell something that may go on: what has the same `key` is the same."""
        latest = self._latest.get(key)
        if latest is None or not latest.goes_on(moment):
            self._latest[key] = Passage(moment, moment, moment, 1, weight, text, details)
            self.told.append(self._latest[key])
            return
        latest.last, latest.count = moment, latest.count + 1
        if weight < latest.weight:
            latest.shown, latest.weight, latest.text, latest.details = moment, weight, text, details

    def break_off(self) -> None:
        """Let nothing that was told so far go on."""
        self._latest.clear()
