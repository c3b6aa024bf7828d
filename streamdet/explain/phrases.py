"""Why a track and a detection were not matched, and how sure a match was, in words for a user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from streamdet.explain.situation import Apart, Candidate, Compared, Moment, ScoreLimits, Situation

# What the limit of a stage is for; the first stage needs no word.
LIMITS = {
    "weak": " for weak detections",
    "tentative": " for tracks seen once",
    "relabelled": " for another class",
    "recovered": " where it was last seen",
    "looks": " for its looks",
}
# How a match came about.
WAYS = {
    "weak": "by a weak detection ",
    "relabelled": "in the same place under another class ",
    "recovered": "where it was last seen ",
    "looks": "by its looks ",
}


def at(moment: Moment) -> str:
    """Return when, as ``frame 120 (12.00 s)``."""
    return f"frame {moment.frame} ({moment.time_s:.2f} s)"


def rounded(cost: float) -> str:
    """Return a cost as it is told; it may be negative, but there is no negative nothing."""
    return f"{round(cost, 2) + 0.0:.2f}"


def score_rule(limits: ScoreLimits) -> str:
    """Say which score begins a track."""
    share, mean = limits.birth, limits.mean_at_birth
    if not limits.relative:
        return f"new tracks begin at a score of {share:.2f}"
    if mean is None:
        return f"new tracks begin at {share:.2f} of the mean score of what is tracked"
    return f"new tracks begin at a score of {share * mean:.2f}, {share:.2f} of the mean of what is tracked"


def unmatched_track(now: Situation, pair: Candidate) -> str:
    """Say why the track of `pair`, whose detection began another, did not take it."""
    track = now.tracks[pair.serial]
    known = [f"overlap {pair.overlap:.2f}"] if pair.overlap else []
    known += [f"hidden for {track.unseen_s:.2f} s"] if now.hidden(pair.serial) else []
    who = now.name(pair.serial) + (f" ({', '.join(known)})" if known else "")
    if isinstance(pair, Apart):
        return f"{who} was not compared" if pair.overlap else f"{who} was expected {_away(pair)}"
    if pair.outcome == "over":
        return f"{who}: {over(pair)}"
    taken = now.match_of.get(pair.serial)
    other = f", but it took another detection at cost {rounded(taken.cost)}" if taken else ""
    return f"{who}: cost {rounded(pair.cost)}{other}"


def refused_detection(now: Situation, pair: Candidate, limits: ScoreLimits) -> str:
    """Say why the hidden track of `pair` did not get its detection, and what became of that; follows its name."""
    taker = now.taker_of.get(pair.row)
    if isinstance(pair, Compared):
        if pair.outcome == "rival" and taker:
            return f"went to {now.name(taker.serial)} at cost {rounded(taker.cost)}, here it cost {rounded(pair.cost)}"
        return over(pair) + _fate(now, pair.row)
    if taker:
        return f"went to {now.name(taker.serial)} at cost {rounded(taker.cost)}"
    if not pair.overlap:
        return f"was {_away(pair)}{_fate(now, pair.row)}"
    return (_weakness(now, pair, limits) or "was not compared") + _fate(now, pair.row)


def described(now: Situation, pair: Candidate) -> str:
    """Return what is known of the detection of `pair`."""
    score = f"score {now.detections[pair.row].score:.2f}"
    return f"({score}, overlap {pair.overlap:.2f})" if pair.overlap else f"({score})"


def over(pair: Compared) -> str:
    """Return the cost and the limit that it is above, with as many digits as tell them apart."""
    digits = 2 if rounded(pair.cost) != rounded(pair.limit) else 4
    return f"cost {pair.cost:.{digits}f}, above the limit of {pair.limit:.{digits}f}{LIMITS.get(pair.stage, '')}"


def _fate(now: Situation, row: int) -> str:
    taker, begun = now.taker_of.get(row), now.begun_from.get(row)
    if taker:
        return f"; it went to {now.name(taker.serial)} at cost {rounded(taker.cost)}"
    return f"; it began {now.name(begun)}" if begun is not None else ""


def _weakness(now: Situation, pair: Apart, limits: ScoreLimits) -> str | None:
    """Say that a score is too low to count, None if it is not."""
    if limits.mean is None:
        return None
    score, low, high = now.detections[pair.row].score, limits.low * limits.mean, limits.high * limits.mean
    if score < low:
        return f"was too weak to count, {low:.2f} is the least"
    return f"was too weak to bring back what is hidden, {high:.2f} is the least" if score < high else None


def _away(pair: Apart) -> str:
    return f"{pair.away_px:.0f} px away, without overlap"


CLOSE_COST = 0.1  # an alternative that costs no more than this in addition is a close call


class Doubt(NamedTuple):
    """Why a match may be wrong, in words; `rival` is the other track, 0 for none, `extra` the cost that decided.

    It may have `switched` when one of two tracks had to leave the detection that fitted it best to the other, which it
    fitted hardly better.
    """

    rival: int
    switched: bool
    extra: float
    text: str


def doubts(now: Situation, match: Compared) -> Iterator[Doubt]:
    """Yield what speaks against `match`, within its stage."""
    stage = [pair for pair in now.compared if pair.stage == match.stage and pair.outcome != "over"]
    taker_of = {pair.row: pair for pair in stage if pair.outcome == "chosen"}
    match_of = {pair.serial: pair for pair in taker_of.values()}
    ours = {pair.row: pair for pair in stage if pair.serial == match.serial}
    theirs = {pair.serial: pair for pair in stage if pair.row == match.row}
    for row, other in ours.items():
        if row not in taker_of and other.cost - match.cost < CLOSE_COST:
            yield _free_detection(match, other)
    for serial, other in theirs.items():
        if serial not in match_of and other.cost - match.cost < CLOSE_COST:
            yield _free_track(now, match, other)
    for serial, rival in match_of.items():
        if serial != match.serial:
            yield from _exchange(now, match, rival, ours.get(rival.row), theirs.get(serial))


def _free_detection(match: Compared, other: Compared) -> Doubt:
    text = (
        f"close call: another detection fitted nearly as well, cost {rounded(other.cost)} against {rounded(match.cost)}"
    )
    return Doubt(0, False, other.cost - match.cost, text)


def _free_track(now: Situation, match: Compared, other: Compared) -> Doubt:
    name = now.name(other.serial)
    text = (
        f"close call: {name} wanted the same detection, cost {rounded(other.cost)} against {rounded(match.cost)} here"
    )
    return Doubt(other.serial, False, other.cost - match.cost, text)


def _exchange(
    now: Situation, match: Compared, rival: Compared, to_theirs: Compared | None, to_ours: Compared | None
) -> Iterator[Doubt]:
    """Compare two matches with the other way round: `to_theirs` is our track with their detection."""
    name = now.name(rival.serial)
    cost, their_cost = rounded(match.cost), rounded(rival.cost)
    if to_theirs and to_theirs.cost < match.cost and to_theirs.cost - rival.cost < CLOSE_COST:
        best = f"the detection that fitted best (cost {rounded(to_theirs.cost)}) went to {name} (cost {their_cost})"
        text = f"may have switched with {name}: {best}, and this track took another (cost {cost})"
        yield Doubt(rival.serial, True, to_theirs.cost - match.cost, text)
    elif to_ours and to_ours.cost < rival.cost and to_ours.cost - match.cost < CLOSE_COST:
        best = f"it took (cost {cost}) the detection that fitted {name} best (cost {rounded(to_ours.cost)})"
        text = f"may have switched with {name}: {best}, and {name} took another (cost {their_cost})"
        yield Doubt(rival.serial, True, to_ours.cost - rival.cost, text)
    elif to_theirs and to_ours:
        # extra = (c(us, theirs) + c(them, ours)) - (c(us, ours) + c(them, theirs))
        chosen, exchanged = match.cost + rival.cost, to_theirs.cost + to_ours.cost
        sums = f"both cost {rounded(chosen)} together, the other way round {rounded(exchanged)}"
        if exchanged - chosen < CLOSE_COST:
            yield Doubt(rival.serial, False, exchanged - chosen, f"close call with {name}: {sums}")
