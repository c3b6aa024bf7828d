"""The lives of all tracks that got an id: when each was seen, how often it was hidden, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from streamdet.explain.record import FrameRecord
from streamdet.explain.situation import Moment, Situation


@dataclass(slots=True)
class Life:
    """One track: the moments when it was `first` and `last` seen, and in how many `frames`.

    `gaps` counts the times that it was hidden and found again, `weak` the frames in which only a weak detection
    supported it; `unseen_s` is for how long it was not seen at last; `ended` is when it was given up, None for a track
    that was there to the end.
    """

    serial: int
    first: Moment
    last: Moment
    id: int | None = None
    frames: int = 0
    gaps: int = 0
    weak: int = 0
    unseen_s: float = 0.0
    ended: Moment | None = None
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def label(self) -> str:
        """The class name of most of its detections."""
        return self.labels.most_common(1)[0][0] if self.labels else "unknown"

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.ended:
            return f"unseen for {self.unseen_s:.2f} s"
        return f"hidden for the last {self.unseen_s:.2f} s" if self.unseen_s else "there to the end"

    def see(self, moment: Moment, label: str, *, weak: bool) -> None:
        """Account a detection."""
        self.gaps += moment.number - self.last.number > 1
        self.last = moment
        self.frames += 1
        self.weak += weak
        self.labels[label] += 1


@dataclass(slots=True)
class Lives:
    """All tracks with an id: their lives `by_id`, `ids` by serial, and the `last` moment of the record."""

    by_id: dict[int, Life] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)
    last: Moment | None = None


def read_lives(records: Iterable[FrameRecord]) -> Lives:
    """Return the lives in `records`."""
    lives, alive = Lives(), dict[int, Life]()
    for number, record in enumerate(records):
        now = Situation(number, record, lives.ids)
        lives.last = now.moment
        for serial, track in now.tracks.items():
            if serial not in alive:  # the tracker went on from a saved state
                alive[serial] = Life(serial, now.moment, now.moment, track.id)
                _name(lives, alive[serial])
            alive[serial].unseen_s = track.unseen_s
        for serial, match in now.match_of.items():
            alive[serial].see(now.moment, now.detections[match.row].class_name, weak=match.stage == "weak")
        for serial, row in record.begun:
            alive[serial] = Life(serial, now.moment, now.moment)
            alive[serial].see(now.moment, now.detections[row].class_name, weak=False)
        for serial, track_id in record.confirmed:
            alive[serial].id = track_id
            _name(lives, alive[serial])
        for serial in record.ended:
            alive.pop(serial).ended = now.moment
    return lives


def _name(lives: Lives, life: Life) -> None:
    if life.id is not None:
        lives.by_id[life.id] = life
        lives.ids[life.serial] = life.id
