"""Decisions in words for a user: why a track and a detection were not matched, and how sure a match was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from streamdet.explain.situation import Apart, Candidate, Compared, Moment, ScoreLimits, Situation

# How the limit of a stage is named; that of the first stage has no name.
LIMITS = {
    "weak": " for weak detections",
    "tentative": " for tracks seen once",
    "left": " for what was left over",
    "alone": " for what has nothing else near",
    "relabelled": " for another class",
    "recovered": " where it was last seen",
    "appearance": " for its appearance",
}
# How a match of a stage is named.
WAYS = {
    "weak": "by a weak detection ",
    "left": "by a detection that was left over ",
    "alone": "by a detection with nothing else near ",
    "relabelled": "in the same place under another class ",
    "recovered": "where it was last seen ",
    "appearance": "by its appearance ",
}
CLOSE_COST = 0.1  # an alternative match that costs no more than this in addition is a close call


def format_moment(moment: Moment) -> str:
    """Return frame and time, as ``frame 120 (12.00 s)``."""
    return f"frame {moment.frame} ({moment.time_s:.2f} s)"


def amended(track_id: int | None, now: Situation, moments: Sequence[Moment]) -> Iterator[str]:
    """Yield what the frame shows of a track's id in earlier frames; `moments` are those so far, this one included."""
    for ids in now.record.same:
        if track_id in ids:
            yield f"amended: id {ids[ids[0] == track_id]} is the same object"
    for first, second, since_s in now.record.swapped:
        if track_id in (first, second):
            since = min(moments, key=lambda moment: abs(moment.time_s - since_s))
            yield f"amended: exchanged with id {second if track_id == first else first} since {format_moment(since)}"


def format_cost(cost: float) -> str:
    """Return a cost with two digits; it may be negative, but -0.00 becomes 0.00."""
    return f"{round(cost, 2) + 0.0:.2f}"


def score_rule(limits: ScoreLimits) -> str:
    """Return from which score on a detection begins a track."""
    share, mean = limits.birth, limits.mean_at_birth
    if not limits.relative:
        return f"new tracks begin at a score of {share:.2f}"
    if mean is None:
        return f"new tracks begin at {share:.2f} of the mean score of what is tracked"
    return f"new tracks begin at a score of {share * mean:.2f}, {share:.2f} of the mean of what is tracked"


def unmatched_track(now: Situation, pair: Candidate) -> str:
    """Return the name of the track of `pair` and why it was not matched with the detection, which began a new track."""
    facts = [f"overlap {pair.overlap:.2f}"] if pair.overlap else []
    facts += [f"hidden for {now.tracks[pair.serial].unseen_s:.2f} s"] if now.hidden(pair.serial) else []
    track = now.name(pair.serial) + (f" ({', '.join(facts)})" if facts else "")
    if isinstance(pair, Apart):
        return f"{track} was not compared" if pair.overlap else f"{track} was expected {_away(pair)}"
    if pair.outcome == "over":
        return f"{track}: {_over_limit(pair)}"
    match = now.match_by_serial.get(pair.serial)
    other = f", but it took another detection at cost {format_cost(match.cost)}" if match else ""
    return f"{track}: cost {format_cost(pair.cost)}{other}"


def refused_detection(now: Situation, pair: Candidate, limits: ScoreLimits) -> str:
    """Return why the hidden track of `pair` was not matched with the detection, and where the detection went instead.

    The phrase continues `detection_facts`.
    """
    winner = now.match_by_row.get(pair.row)
    went = f"went to {now.name(winner.serial)} at cost {format_cost(winner.cost)}" if winner else ""
    if isinstance(pair, Compared):
        if pair.outcome == "rival" and winner:
            return f"{went}, here it cost {format_cost(pair.cost)}"
        return _over_limit(pair) + _fate(now, pair.row)
    if winner:
        return went
    if not pair.overlap:
        return f"was {_away(pair)}{_fate(now, pair.row)}"
    return (_weakness(now, pair, limits) or "was not compared") + _fate(now, pair.row)


def detection_facts(now: Situation, pair: Candidate) -> str:
    """Return the score of the detection of `pair` and its overlap with the track, in parentheses."""
    score = f"score {now.detections[pair.row].score:.2f}"
    return f"({score}, overlap {pair.overlap:.2f})" if pair.overlap else f"({score})"


def _over_limit(pair: Compared) -> str:
    """Return the cost and the limit that it is above, with more digits where two do not tell them apart."""
    digits = 2 if format_cost(pair.cost) != format_cost(pair.limit) else 4
    return f"cost {pair.cost:.{digits}f}, above the limit of {pair.limit:.{digits}f}{LIMITS.get(pair.stage, '')}"


def _fate(now: Situation, row: int) -> str:
    """Return what the detection in `row` was used for instead, empty for a detection that was not used."""
    winner, begun = now.match_by_row.get(row), now.begun_by_row.get(row)
    if winner:
        return f"; it went to {now.name(winner.serial)} at cost {format_cost(winner.cost)}"
    return f"; it began {now.name(begun)}" if begun is not None else ""


def _weakness(now: Situation, pair: Apart, limits: ScoreLimits) -> str | None:
    """Return which limit the score of the detection is below, None if it is below none or the limits are not known."""
    if limits.mean is None:
        return None
    score, low, high = now.detections[pair.row].score, limits.low * limits.mean, limits.high * limits.mean
    if score < low:
        return f"was too weak to count, {low:.2f} is the least"
    return f"was too weak to bring back what is hidden, {high:.2f} is the least" if score < high else None


def _away(pair: Apart) -> str:
    return f"{pair.away_px:.0f} px away, without overlap"


class Doubt(NamedTuple):
    """A reason why a match may be wrong, as `text`: the next best way to pair those concerned costs only `extra` more.

    `rival` is the serial of the other track, 0 for none. The tracks may have `switched` when one of them lost the
    detection that fitted it best to the other, although that one fitted hardly better.
    """

    rival: int
    switched: bool
    extra: float
    text: str


def doubts(now: Situation, match: Compared) -> Iterator[Doubt]:
    """Yield the alternatives to `match` within its stage that cost hardly more, or even less."""
    stage = [pair for pair in now.compared if pair.stage == match.stage and pair.outcome != "over"]
    match_by_row = {pair.row: pair for pair in stage if pair.outcome == "chosen"}
    match_by_serial = {pair.serial: pair for pair in match_by_row.values()}
    ours = {pair.row: pair for pair in stage if pair.serial == match.serial}
    theirs = {pair.serial: pair for pair in stage if pair.row == match.row}
    for row, other in ours.items():
        if row not in match_by_row and other.cost - match.cost < CLOSE_COST:
            yield _free_detection(match, other)
    for serial, other in theirs.items():
        if serial not in match_by_serial and other.cost - match.cost < CLOSE_COST:
            yield _free_track(now, match, other)
    for serial, rival in match_by_serial.items():
        if serial != match.serial:
            yield from _exchange(now, match, rival, ours.get(rival.row), theirs.get(serial))


def _free_detection(match: Compared, other: Compared) -> Doubt:
    costs = f"cost {format_cost(other.cost)} against {format_cost(match.cost)}"
    text = f"close call: another detection fitted nearly as well, {costs}"
    return Doubt(0, False, other.cost - match.cost, text)


def _free_track(now: Situation, match: Compared, other: Compared) -> Doubt:
    costs = f"cost {format_cost(other.cost)} against {format_cost(match.cost)} here"
    text = f"close call: {now.name(other.serial)} wanted the same detection, {costs}"
    return Doubt(other.serial, False, other.cost - match.cost, text)


def _exchange(
    now: Situation, match: Compared, rival: Compared, to_theirs: Compared | None, to_ours: Compared | None
) -> Iterator[Doubt]:
    """Compare two matches with their exchange: `to_theirs` is our track with the detection of the rival."""
    name = now.name(rival.serial)
    cost, their_cost = format_cost(match.cost), format_cost(rival.cost)
    if to_theirs and to_theirs.cost < match.cost and to_theirs.cost - rival.cost < CLOSE_COST:
        best = f"the detection that fitted best (cost {format_cost(to_theirs.cost)}) went to {name} (cost {their_cost})"
        text = f"may have switched with {name}: {best}, and this track took another (cost {cost})"
        yield Doubt(rival.serial, True, to_theirs.cost - match.cost, text)
    elif to_ours and to_ours.cost < rival.cost and to_ours.cost - match.cost < CLOSE_COST:
        best = f"it took (cost {cost}) the detection that fitted {name} best (cost {format_cost(to_ours.cost)})"
        text = f"may have switched with {name}: {best}, and {name} took another (cost {their_cost})"
        yield Doubt(rival.serial, True, to_ours.cost - rival.cost, text)
    elif to_theirs and to_ours:
        # extra = (c(us, theirs) + c(them, ours)) - (c(us, ours) + c(them, theirs))
        chosen, exchanged = match.cost + rival.cost, to_theirs.cost + to_ours.cost
        sums = f"both cost {format_cost(chosen)} together, the other way round {format_cost(exchanged)}"
        if exchanged - chosen < CLOSE_COST:
            yield Doubt(rival.serial, False, exchanged - chosen, f"close call with {name}: {sums}")
