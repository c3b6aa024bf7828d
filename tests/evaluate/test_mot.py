"""Scores of scripted scenes against figures worked out by hand, and of real ones against TrackEval's own evaluator."""

import sys
from collections.abc import Iterable
from dataclasses import astuple
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streamdet.errors import MissingExtraError
from streamdet.evaluate.mot import SequenceScores, evaluate_mot

from .scene import Row, lane, write_rows, write_sequence

FLAGGED = (1, -1, -1, -1)  # MOT15: flag, then world coordinates
PEDESTRIAN = (1, 1, 1)  # MOT17: flag, class, visibility
TEN_FRAMES = range(1, 11)


def score(
    folder: Path, truth: Iterable[Row], tracks: Iterable[Row], name: str = "SCENE", length: int = 10
) -> SequenceScores:
    write_sequence(folder / "mot" / name, length, truth)
    return evaluate_mot(folder / "mot", write_rows(folder / "tracks" / f"{name}.txt", tracks)).combined


@pytest.mark.parametrize("tail", [FLAGGED, PEDESTRIAN], ids=["MOT15", "MOT17"])
def test_perfect_tracks_score_100(tmp_path: Path, tail: tuple[float, ...]) -> None:
    truth = lane(1, 0, TEN_FRAMES, *tail) + lane(2, 100, range(3, 8), *tail)
    scores = score(tmp_path, truth, lane(7, 0, TEN_FRAMES, 0.9) + lane(5, 100, range(3, 8), 0.8))
    assert astuple(scores) == (100, 100, 100, 100, 100, 0, 0, 0, 0)


def test_an_id_switch(tmp_path: Path) -> None:
    """One object, 10 boxes; id 1 holds it for 6 frames, id 2 for 4."""
    scores = score(tmp_path, lane(1, 0, TEN_FRAMES, *FLAGGED), lane(1, 0, range(1, 7), 1) + lane(2, 0, range(7, 11), 1))
    # MOTA = 1 - (FN + FP + IDSW) / GT = 1 - 1/10
    assert scores.mota == pytest.approx(90)
    assert (scores.id_switches, scores.fragments, scores.false_positives, scores.false_negatives) == (1, 0, 0, 0)
    # IDF1 = 2 IDTP / (GT + tracked) = 2 * 6 / (10 + 10)
    assert scores.idf1 == pytest.approx(60)
    # AssA = mean over true positives of TPA / (TPA + FNA + FPA) = (6 * 6/10 + 4 * 4/10) / 10; HOTA = sqrt(DetA * AssA)
    assert scores.ass_a == pytest.approx(52)
    assert scores.det_a == pytest.approx(100)
    assert scores.hota == pytest.approx(100 * sqrt(0.52))


def test_misses_false_boxes_and_a_fragment(tmp_path: Path) -> None:
    """Of 20 boxes, frames 4 to 6 of the second object are missed; 2 boxes are false."""
    truth = lane(1, 0, TEN_FRAMES, *FLAGGED) + lane(2, 100, TEN_FRAMES, *FLAGGED)
    tracks = lane(1, 0, TEN_FRAMES, 1) + lane(2, 100, [1, 2, 3, 7, 8, 9, 10], 1) + lane(3, 500, [2, 3], 1)
    scores = score(tmp_path, truth, tracks)
    assert (scores.false_negatives, scores.false_positives, scores.id_switches, scores.fragments) == (3, 2, 0, 1)
    assert scores.mota == pytest.approx(100 * (1 - 5 / 20))
    assert scores.idf1 == pytest.approx(100 * 2 * 17 / (20 + 19))
    assert scores.det_a == pytest.approx(100 * 17 / (17 + 3 + 2))
    assert scores.ass_a == pytest.approx(100 * (10 * 1 + 7 * 0.7) / 17)


def test_boxes_that_overlap_half_count_at_half_the_thresholds(tmp_path: Path) -> None:
    """IoU 0.6 is a match for MOTA, and for 12 of the 19 thresholds of HOTA (0.05 to 0.60)."""
    truth = [(frame, 1, 0, 0, 10, 10, *FLAGGED) for frame in TEN_FRAMES]
    scores = score(tmp_path, truth, [(frame, 1, 2.5, 0, 10, 10, 1) for frame in TEN_FRAMES])
    assert scores.mota == 100
    assert scores.hota == pytest.approx(100 * 12 / 19)


def test_no_tracks_at_all(tmp_path: Path) -> None:
    scores = score(tmp_path, lane(1, 0, TEN_FRAMES, *FLAGGED), [])
    assert astuple(scores) == (0, 0, 0, 0, 0, 0, 0, 0, 10)


@pytest.mark.parametrize(
    ("name", "object_class", "false_positives"),
    [("MOT17-99", 8, 0), ("MOT17-99", 7, 0), ("MOT17-99", 6, 10), ("MOT20-99", 6, 0), ("MOT17-99", 3, 10)],
    ids=["distractor", "static person", "vehicle in MOT17", "vehicle in MOT20", "car"],
)
def test_tracks_on_other_classes(tmp_path: Path, name: str, object_class: int, false_positives: int) -> None:
    """Following a distractor costs nothing; following anything else that is no pedestrian is false."""
    truth = lane(1, 0, TEN_FRAMES, *PEDESTRIAN) + lane(2, 100, TEN_FRAMES, 0, object_class, 1)
    scores = score(tmp_path, truth, lane(1, 0, TEN_FRAMES, 1) + lane(2, 100, TEN_FRAMES, 1), name)
    assert (scores.false_positives, scores.false_negatives) == (false_positives, 0)


@pytest.mark.parametrize("tail", [(0, -1, -1, -1), (0, 1, 1)], ids=["MOT15", "MOT17"])
def test_zero_flagged_boxes_do_not_count(tmp_path: Path, tail: tuple[float, ...]) -> None:
    truth = lane(1, 0, TEN_FRAMES, *((1, *tail[1:]))) + lane(2, 100, TEN_FRAMES, *tail)
    assert score(tmp_path, truth, lane(1, 0, TEN_FRAMES, 1)).mota == 100


def test_sequences_combine_by_boxes(tmp_path: Path) -> None:
    """30 boxes with 10 missed and 10 boxes with none missed: MOTA 75, not the mean of 66.7 and 100."""
    truth = [row for identity in (1, 2, 3) for row in lane(identity, 100 * identity, TEN_FRAMES, *FLAGGED)]
    write_sequence(tmp_path / "mot" / "A", 10, truth)
    write_sequence(tmp_path / "mot" / "B", 10, lane(1, 0, TEN_FRAMES, *FLAGGED))
    write_rows(tmp_path / "tracks" / "A.txt", lane(1, 100, TEN_FRAMES, 1) + lane(2, 200, TEN_FRAMES, 1))
    write_rows(tmp_path / "tracks" / "B.txt", lane(1, 0, TEN_FRAMES, 1))
    scores = evaluate_mot(tmp_path / "mot", tmp_path / "tracks")
    assert {name: round(s.mota, 1) for name, s in scores.sequences.items()} == {"A": 66.7, "B": 100}
    assert scores.combined.mota == pytest.approx(75)
    assert list(evaluate_mot(tmp_path / "mot", tmp_path / "tracks", sequences=["B"]).sequences) == ["B"]


def test_second_half_counts_alone_however_its_tracks_are_numbered(tmp_path: Path) -> None:
    """Of 10 frames the second half is 7 to 10; the tracks swap identity at frame 6, and miss frame 8."""
    sequence = write_sequence(tmp_path / "S", 10, lane(1, 0, TEN_FRAMES, *FLAGGED))
    whole = write_rows(tmp_path / "whole.txt", lane(1, 0, range(1, 6), 1) + lane(2, 0, [6, 7, 9, 10], 1))
    alone = write_rows(tmp_path / "alone.txt", lane(2, 0, [1, 3, 4], 1))
    expected = (0, 1, 100 * 3 / 4)
    for tracks in (whole, alone):
        scores = evaluate_mot(sequence, tracks, half="val").combined
        assert (scores.id_switches, scores.false_negatives, scores.mota) == expected
    first = evaluate_mot(sequence, whole, half="train").combined
    assert (first.id_switches, first.false_negatives) == (1, 0)


def test_nothing_is_printed_and_nothing_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sequence = write_sequence(tmp_path / "S", 10, lane(1, 0, TEN_FRAMES, *PEDESTRIAN))
    tracks = write_rows(tmp_path / "t.txt", lane(1, 0, TEN_FRAMES, 1))
    before = sorted(tmp_path.rglob("*"))
    evaluate_mot(sequence, tracks)
    assert capfd.readouterr() == ("", "")
    assert sorted(tmp_path.rglob("*")) == before


def test_without_trackeval_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'streamdet\[eval\]'"):
        evaluate_mot(tmp_path, tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(seed=232)  # where the last bit of HOTA, a sum over the rows, is another
@given(seed=st.integers(0, 2**32 - 1))
def test_names_of_ids_and_order_of_rows_do_not_matter(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = [row for identity in range(1, 5) for row in lane(identity, 15 * identity, TEN_FRAMES, *PEDESTRIAN)]
    # Fine offsets: where two overlaps are equal, the order of rows may decide between two equally good matchings.
    tracks = [(row[0], row[1], row[2] + rng.normal(0, 5), *row[3:6]) for row in truth if rng.random() < 0.8]
    names = rng.choice(10**9, 5, replace=False)
    renamed = [(row[0], int(names[int(row[1])]), *row[2:]) for row in rng.permutation(np.array(tracks)).tolist()]
    expected = astuple(score(tmp_path, truth, tracks))
    assert astuple(score(tmp_path, truth, renamed)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("benchmark", "name"), [("MOT17", "MOT17-05"), ("MOT15", "TUD-Stadtmitte")])
def test_agrees_with_trackeval_itself_on_real_ground_truth(
    data: Path, tmp_path: Path, benchmark: str, name: str
) -> None:
    """TrackEval's evaluator on the untouched files gives the same figures for noisy copies of the ground truth."""
    rng = np.random.default_rng(5)
    rows = np.loadtxt(data / "mot" / benchmark / name / "gt" / "gt.txt", delimiter=",")[:, :7]
    rows = rows[rng.random(len(rows)) < 0.9]
    rows[:, 1] += 1000 * (rows[:, 0] > 100)
    rows[:, 2:4] += rng.normal(0, 4, (len(rows), 2)).round(2)
    tracks = tmp_path / "trackers" / "noisy" / "data" / f"{name}.txt"
    scores = evaluate_mot(data / "mot" / benchmark / name, write_rows(tracks, [tuple(row) for row in rows])).combined
    assert 0 < scores.hota < 90
    assert astuple(scores) == pytest.approx(trackeval_scores(data / "mot", tmp_path / "trackers", benchmark, name))


def trackeval_scores(truth: Path, tracks: Path, benchmark: str, name: str) -> tuple[float, ...]:
    from trackeval import Evaluator, datasets, metrics

    dataset = datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(truth / benchmark),
            "TRACKERS_FOLDER": str(tracks),
            "BENCHMARK": benchmark,
            "SKIP_SPLIT_FOL": True,
            "SEQ_INFO": {name: None},
        }
    )
    options = ("PRINT_RESULTS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES", "TIME_PROGRESS")
    evaluator = Evaluator({**dict.fromkeys(options, False), "LOG_ON_ERROR": None})
    results, _ = evaluator.evaluate([dataset], [metrics.HOTA(), metrics.CLEAR(), metrics.Identity()])
    found = results["MotChallenge2DBox"]["noisy"]["COMBINED_SEQ"]["pedestrian"]
    hota, clear = found["HOTA"], found["CLEAR"]
    percent = [*(np.mean(hota[key]) for key in ("HOTA", "DetA", "AssA")), clear["MOTA"], found["Identity"]["IDF1"]]
    return tuple(100 * value for value in percent) + tuple(clear[key] for key in ("IDSW", "Frag", "CLR_FP", "CLR_FN"))
