"""Ground truth that is unusual: other columns, no row that counts, a byte order mark, time stamps as frame numbers."""

import math
import re
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest

from streamdet.evaluate.mot import evaluate_mot

from .scene import lane, write_rows, write_sequence

FRAMES = range(1, 11)


@pytest.mark.parametrize("case", ["sevencol_gt", "bom_gt"])
def test_other_columns_and_a_byte_order_mark_are_read(data: Path, case: str) -> None:
    folder = data / "cases" / "gt" / case
    scores = evaluate_mot(folder / "gt", folder / "tr")
    assert astuple(scores.combined) == (100, 100, 100, 100, 100, 0, 0, 0, 0)
    assert scores.notes == {}


def test_a_sequence_without_rows_has_no_scores_and_says_so(data: Path, streamdet: Callable[..., str]) -> None:
    folder = data / "cases" / "gt" / "empty_gt"
    printed = streamdet("eval", "mot", folder / "gt", folder / "tr", code=0)
    assert f"expected boxes that count in {folder / 'gt' / 'S' / 'gt' / 'gt.txt'}, found none at all" in printed
    assert ["S", *"-----", "0", "0", "40", "0"] in [line.split() for line in printed.splitlines()]


@pytest.mark.parametrize(
    ("tail", "found"),
    [
        ((0,), "boxes that count in .*, found 10, of which 0 have a flag other than 0 in column 7"),
        ((1, 8, 1), "boxes of pedestrians that count in .*, found 10, of which 10 have a flag"),
    ],
)
def test_rows_of_which_none_counts_are_told(tmp_path: Path, tail: tuple[float, ...], found: str) -> None:
    """All flagged out, or distractors; another sequence has scores all the same."""
    write_sequence(tmp_path / "mot" / "A", 10, lane(1, 0, FRAMES, *tail))
    write_sequence(tmp_path / "mot" / "B", 10, lane(1, 0, FRAMES, 1))
    for name in "AB":
        write_rows(tmp_path / "tracks" / f"{name}.txt", lane(1, 500 * (name == "A"), FRAMES, 1))
    scores = evaluate_mot(tmp_path / "mot", tmp_path / "tracks")
    assert list(scores.notes) == ["A"]
    assert pytest.approx(scores.sequences["B"].hota) == 100
    assert math.isnan(scores.sequences["A"].mota)
    assert (scores.sequences["A"].false_positives, scores.combined.mota) == (10, 0)
    assert re.search(found, scores.notes["A"])


def test_frame_numbers_that_are_time_stamps_score_as_frames_do(tmp_path: Path) -> None:
    stamps = range(1690000001, 1690000011)
    for name, frames in (("frames", FRAMES), ("stamps", stamps)):
        write_sequence(tmp_path / "mot" / name, 2 * 10**9, [])
        for path, rows in (
            (tmp_path / "mot" / name / "gt" / "gt.txt", lane(1, 0, frames, 1)),
            (tmp_path / "tracks" / f"{name}.txt", lane(1, 0, frames[:6], 1) + lane(2, 0, frames[6:], 1)),
        ):
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    scores = evaluate_mot(tmp_path / "mot", tmp_path / "tracks").sequences
    assert scores["stamps"] == scores["frames"]
    assert scores["stamps"].id_switches == 1
