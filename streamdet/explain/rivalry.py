"""How sure a match was: the next best ways to pair those concerned, and what these would have cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from streamdet.explain.phrases import rounded
from streamdet.explain.situation import Compared, Situation

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
