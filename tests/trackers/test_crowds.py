"""Tens of thousands of boxes: the same pairs by another way, and a bound where there are too many."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from trackers import assignment, candidates
from trackers.assignment import assign
from trackers.association import overlapping
from trackers.config import TRACKERS
from trackers.crowds import CLOSE, crowded_pairs
from trackers.types import FloatArray

ROOT = Path(__file__).resolve().parents[2]


def boxes(random: np.random.Generator, count: int, sides_px: float) -> FloatArray:
    corner = random.uniform(0, 1000, (count, 2)).round()
    return np.hstack([corner, corner + 1 + random.exponential(sides_px, (count, 2)).round()])


def pairs_found(limits: dict[str, int], some: FloatArray, others: FloatArray, margins: FloatArray) -> FloatArray:
    """Return row, column and IoU of the pairs that overlap, sorted, as they are found under some `limits`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in limits.items():
            patch.setattr(candidates, name, limit)
        pairs = overlapping(some, others, margins)
    assert_array_equal(pairs.rows, np.sort(pairs.rows))
    rows: FloatArray = np.column_stack(pairs)
    return rows[np.lexsort((pairs.columns, pairs.rows))]


SWEEP = {"MOST_COMPARED": -1, "MOST_SWEPT": 2**62}
GRID = {"MOST_COMPARED": -1, "MOST_SWEPT": -1}


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 600),
    wide=st.booleans(),
    far=st.booleans(),
    margin_px=st.sampled_from([0.0, 7.0]),
)
def test_every_way_finds_the_pairs_that_comparing_each_with_each_finds(
    seed: int, count: int, wide: bool, far: bool, margin_px: float
) -> None:
    """Of boxes that do not lie on top of each other, with one as wide as the image, and one far outside."""
    random = np.random.default_rng(seed)
    some, others = boxes(random, count, 30), boxes(random, count, 30)
    if wide:
        others[0] = [0, 0, 1000, 40]
    if far:
        some[-1] = others[-1] = [1e15, -1e15, 1e15 + 50, -1e15 + 50]
    margins = np.full((count, 2), margin_px)
    expected = pairs_found({"MOST_COMPARED": 2**62}, some, others, margins)
    for limits in (SWEEP, GRID, GRID | {"MOST_COMPARISONS": -1}):
        assert_array_equal(pairs_found(limits, some, others, margins), expected)


def test_of_boxes_on_top_of_each_other_each_has_some_pairs_and_one_with_itself() -> None:
    corner = np.arange(2000.0)[:, None] / 1000
    pile = np.hstack([corner, corner, corner + 50, corner + 90])
    rows, columns = crowded_pairs((pile[:, :2].T, pile[:, 2:].T), (pile[:, :2].T, pile[:, 2:].T))
    assert_array_equal(np.bincount(rows), np.full(2000, CLOSE))
    assert_array_equal(np.unique(rows[rows == columns]), np.arange(2000))


def test_more_pairs_than_a_solver_takes_are_made_by_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimum is 0-1 and 1-0, which cost 0.35 together; the cheapest pair of all is 0-0."""
    rows, columns, cost = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.1, 0.2, 0.15])
    assert assign(rows, columns, cost, 0.8).tolist() == [False, True, True]
    monkeypatch.setattr(assignment, "MOST_CONTESTED", 0)
    assert assign(rows, columns, cost, 0.8).tolist() == [True, False, False]


# Tracks 20,000 boxes in 1 GiB beyond what the imports take: all equal, a grid with one box over all, and a cross.
CROWD = """
import resource, sys
import numpy as np
from trackers.config import parse_config
tracker = parse_config({"tracker_type": sys.argv[1]}).build(30.0)
tracker.update([[0, 0, 9, 9]] * 2, [0.9] * 2, [0] * 2)
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**30, in_use + 2**30))
place = np.arange(20000)
corner = {
    "equal": np.zeros((20000, 2)),
    "grid": np.stack([place % 200, place // 200], 1) * 20.0,
    "cross": np.where(place[:, None] % 2 == [0, 1], place[:, None] * 10.0, 0),
}[sys.argv[2]]
boxes = np.hstack([corner, corner + 15])
if sys.argv[2] == "grid":
    boxes[0] = [0, 0, 4000, 2000]
features = np.eye(8)[place % 8] if sys.argv[1] == "streamsort" else None
tracker = parse_config({"tracker_type": sys.argv[1]}).build(30.0)
for _ in range(3):
    tracks = tracker.update(boxes, np.full(20000, 0.9), np.zeros(20000), features=features)
print(len(tracks.ids))
"""


@pytest.mark.parametrize("arrangement", ["equal", "grid", "cross"])
@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_twenty_thousand_boxes_of_any_arrangement_take_bounded_memory(name: str, arrangement: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CROWD, name, arrangement]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert 19_000 < int(ended.stdout) <= 20_000
