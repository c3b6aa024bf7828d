"""Timestamps always grow, and are unchanged wherever possible."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamdet.video.timestamps import Timestamps

TICKS = st.integers(-(2**40), 2**40)


@given(st.lists(TICKS, unique=True))
def test_growing_times_are_kept(ticks: list[int]) -> None:
    times = Timestamps(period=10, restart=100)
    assert [times.next(pts) for pts in sorted(ticks)] == sorted(ticks)
    assert times.repaired == 0


@given(st.lists(st.none() | TICKS))
def test_whatever_comes_in_what_goes_out_grows(ticks: list[int | None]) -> None:
    times = Timestamps(period=10, restart=100)
    out = [times.next(pts) for pts in ticks]
    assert all(earlier < later for earlier, later in itertools.pairwise(out))


def test_a_missing_time_is_a_period_after_the_last() -> None:
    times = Timestamps(period=10, restart=100)
    assert [times.next(pts) for pts in (None, None, 25, None)] == [0, 10, 25, 35]


def test_a_repeated_time_does_not_move_those_after_it() -> None:
    times = Timestamps(period=10, restart=100)
    assert [times.next(pts) for pts in (0, 10, 10, 5, 20)] == [0, 10, 11, 12, 20]
    assert times.repaired == 2


def test_after_a_clock_restarts_time_goes_on() -> None:
    times = Timestamps(period=10, restart=100)
    assert [times.next(pts) for pts in (5000, 5010, 0, 10, 20)] == [5000, 5010, 5020, 5030, 5040]
    assert times.repaired == 1
