"""The story of a track in time order: why it began, each frame in which its match was missing or close, its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from streamdet.explain.phrases import (
    CLOSE_COST,
    WAYS,
    amended,
    detection_facts,
    doubts,
    format_cost,
    format_moment,
    refused_detection,
    score_rule,
    unmatched_track,
)
from streamdet.explain.record import FrameRecord, Header
from streamdet.explain.situation import Candidate, Compared, Moment, ScoreLimits, Situation

JOIN_S = 0.5  # the same thing that happens again within this time belongs to one passage
MOST_CANDIDATES = 3


@dataclass(slots=True)
class Life:
    """One track: the moments when it was `first` and `last` seen, and the number of `frames` in which it was.

    `gaps` counts the times that it was hidden and found again, `weak` the frames in which only a weak detection
    supported it. `unseen_s` is the time without a detection at the end. `ended` is the moment when it was given up,
    None for a track that the tracker still keeps at the end of the record.
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
        """Its state at the end, in words."""
        if self.ended:
            return f"unseen for {self.unseen_s:.2f} s"
        return f"hidden for the last {self.unseen_s:.2f} s" if self.unseen_s else "there to the end"

    def see(self, moment: Moment, label: str, *, weak: bool) -> None:
        """Add a detection."""
        self.gaps += moment.number - self.last.number > 1
        self.last = moment
        self.frames += 1
        self.weak += weak
        self.labels[label] += 1


@dataclass(slots=True)
class Lives:
    """The lives `by_id` of all tracks that got an id, their `ids` by serial, and the `last` moment of the record."""

    by_id: dict[int, Life] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)
    last: Moment | None = None


def read_lives(records: Iterable[FrameRecord]) -> Lives:
    """Return the lives of all tracks in `records`."""
    lives, alive = Lives(), dict[int, Life]()
    for number, record in enumerate(records):
        now = Situation(number, record, lives.ids)
        lives.last = now.moment
        for serial, track in now.tracks.items():
            if serial not in alive:  # the tracker began with a saved state
                alive[serial] = Life(serial, now.moment, now.moment, track.id)
                _name(lives, alive[serial])
            alive[serial].unseen_s = track.unseen_s
        for serial, match in now.match_by_serial.items():
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


@dataclass(slots=True)
class Passage:
    """The same thing in `count` frames from `first` to `last`; `text` and `details` describe the frame `shown`.

    Of several frames that is the first one with the least `weight`.
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
            return format_moment(self.first)
        span = f"frames {self.first.frame} to {self.last.frame} ({self.first.time_s:.2f} to {self.last.time_s:.2f} s)"
        every = self.count == self.last.number - self.first.number + 1
        return f"{span if every else f'{self.count} of {span}'}, as in {self.shown.frame}"

    def includes(self, moment: Moment) -> bool:
        """Return whether the same thing at a later `moment` belongs to this passage."""
        return moment.number - self.last.number <= 1 or moment.time_s - self.last.time_s <= JOIN_S


class Passages:
    """The passages of a story, `told` in order of their first frames."""

    def __init__(self) -> None:
        self.told: list[Passage] = []
        self._latest: dict[Hashable, Passage] = {}

    def add(self, moment: Moment, text: str, details: Sequence[str] = ()) -> None:
        """Add a passage of a single frame."""
        self.told.append(Passage(moment, moment, moment, 1, 0.0, text, details))

    def extend(
        self, key: Hashable, moment: Moment, text: str, details: Sequence[str] = (), *, weight: float = 0.0
    ) -> None:
        """Extend the latest passage with this `key` by a frame, or begin one if the last such frame is too long ago."""
        latest = self._latest.get(key)
        if latest is None or not latest.includes(moment):
            self._latest[key] = Passage(moment, moment, moment, 1, weight, text, details)
            self.told.append(self._latest[key])
            return
        latest.last, latest.count = moment, latest.count + 1
        if weight < latest.weight:
            latest.shown, latest.weight, latest.text, latest.details = moment, weight, text, details

    def break_off(self) -> None:
        """Let `extend` begin a new passage for every key."""
        self._latest.clear()


def tell(header: Header, records: Iterable[FrameRecord], lives: Lives, life: Life) -> list[Passage]:
    """Return the story of `life`, which is one of the `lives` in the same `records`."""
    story = _Story(header, lives, life)
    for number, record in enumerate(records):
        story.follow(Situation(number, record, lives.ids))
        if life.ended and number == life.ended.number:
            break
    else:
        story.close()
    return story.passages.told


class _Story:
    """The passages of one track, collected frame by frame."""

    def __init__(self, header: Header, lives: Lives, life: Life) -> None:
        self.passages = Passages()
        self._limits = ScoreLimits(header)
        self._budget_s = header.settings.get("track_buffer_s")
        self._lives, self._life = lives, life
        self._seen = life.first
        self._moments: list[Moment] = []  # so far
        # While it is hidden: tracks that were matched with a detection that fitted this one hardly worse,
        # and tracks that began from a detection near it, in order.
        self._lost_to: set[str] = set()
        self._heirs: dict[str, None] = {}

    def follow(self, now: Situation) -> None:
        """Add what happens in the next frame."""
        self._limits.follow(now)
        self._moments.append(now.moment)
        serial = self._life.serial
        row = dict(now.record.begun).get(serial)
        match = now.match_by_serial.get(serial)
        if now.moment == self._life.first and row is None:
            self.passages.add(now.moment, "was tracked already when the record began")
        if row is not None:
            self._begin(now, row)
        elif match:
            self._match(now, match)
        elif serial in now.tracks:
            self._hide(now)
        for told in amended(self._life.id, now, self._moments):
            self.passages.add(now.moment, told)
        if serial in now.record.ended:
            self._end(now)

    def close(self) -> None:
        """Add the state of the track at the end of the record."""
        if self._lives.last:
            self.passages.add(self._lives.last, f"{self._life.ending} of the record")

    def _begin(self, now: Situation, row: int) -> None:
        candidates = now.for_detection(row)[:MOST_CANDIDATES]
        detection = now.detections[row]
        found = f"began with a {detection.class_name} detection of score {detection.score:.2f}"
        at_once = f" and was given its id {self._life.id} at once" if self._is_named(now) else ""
        others = "no track fitted it:" if candidates else "no track was near"
        reasons = [unmatched_track(now, pair) for pair in candidates]
        self.passages.add(now.moment, f"{found}{at_once}; {score_rule(self._limits)}; {others}", reasons)
        hidden = [now.name(pair.serial) for pair in candidates if now.hidden(pair.serial)]
        if hidden:
            self.passages.add(now.moment, f"may be the same object as {' or '.join(hidden)}, hidden at that time")

    def _match(self, now: Situation, match: Compared) -> None:
        if self._is_named(now):
            text = f"matched again at cost {format_cost(match.cost)} and was given its id {self._life.id}"
            self.passages.add(now.moment, text)
        if now.moment.number - self._seen.number > 1:
            self._find(now, match)
        self._seen = now.moment
        for doubt in doubts(now, match):
            self.passages.extend((doubt.rival, doubt.switched), now.moment, doubt.text, weight=doubt.extra)

    def _is_named(self, now: Situation) -> bool:
        return self._life.serial in dict(now.record.confirmed)

    def _find(self, now: Situation, match: Compared) -> None:
        hidden_s, score = now.moment.time_s - self._seen.time_s, now.detections[match.row].score
        how = f"score {score:.2f}, cost {format_cost(match.cost)} under the limit of {format_cost(match.limit)}"
        self.passages.add(now.moment, f"found again {WAYS.get(match.stage, '')}after {hidden_s:.2f} s, {how}")
        if self._lost_to:
            rivals = " or ".join(sorted(self._lost_to))
            text = f"may have switched with {rivals}: while it was hidden, a detection that fitted both went there"
            self.passages.add(now.moment, text)
        self.passages.break_off()
        self._lost_to.clear()
        self._heirs.clear()

    def _hide(self, now: Situation) -> None:
        candidates = now.for_track(self._life.serial)
        shown = candidates[:MOST_CANDIDATES]
        reasons = [f"{detection_facts(now, pair)} {refused_detection(now, pair, self._limits)}" for pair in shown]
        if len(reasons) == 1:
            text, details = f"hidden; the only detection nearby {reasons[0]}", []
        elif reasons:
            text = f"hidden; {len(candidates)} detections nearby, none for it:"
            details = [f"one {reason}" for reason in reasons]
        else:
            text, details = "hidden; no detection nearby", []
        winner = now.match_by_row.get(shown[0].row) if shown else None
        missed_by = _missed_by(shown[0], winner) if shown else 0.0
        key = ("hidden", bool(shown), winner and winner.serial)
        self.passages.extend(key, now.moment, text, details, weight=missed_by)
        self._note_rivals(now, shown)

    def _note_rivals(self, now: Situation, candidates: Sequence[Candidate]) -> None:
        """Note the tracks that may follow the object of this one now."""
        for pair in candidates:
            winner, begun = now.match_by_row.get(pair.row), now.begun_by_row.get(pair.row)
            if winner and isinstance(pair, Compared) and pair.cost - winner.cost < CLOSE_COST:
                self._lost_to.add(now.name(winner.serial))
            if begun is not None and begun in self._lives.ids:
                self._heirs[now.name(begun)] = None

    def _end(self, now: Situation) -> None:
        unseen_s = now.tracks[self._life.serial].unseen_s
        allowed = "" if self._budget_s is None else f", longer than the {self._budget_s:.2f} s allowed (track_buffer_s)"
        self.passages.add(now.moment, f"ended: unseen for {unseen_s:.2f} s{allowed}")
        if self._heirs:
            self.passages.add(now.moment, f"may go on as {' or '.join(self._heirs)}, begun from a detection nearby")


def _missed_by(pair: Candidate, winner: Compared | None) -> float:
    """Return by how much the cost of a pair was too high to be chosen, inf for one that no stage compared."""
    if not isinstance(pair, Compared):
        return inf
    return pair.cost - (winner.cost if winner else pair.limit)
