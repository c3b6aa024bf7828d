"""What a run over a rendered scene is told: the truth scores 100, and what the run was not to find costs nothing."""

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from streamdet.cli.score import FolderTruth, RenderedTruth, RunScore
from streamdet.result import Result
from streamdet.rows import ImageClass
from streamdet.scene.scene import Scene, parse_scene_url
from streamdet.scene.truth import CLASS_NAMES, write_mot_truth
from streamdet.types import Detections, Frame, Tracks

URL = "scene://street?seed=7&seconds=1&fps=5&size=384x216"
PERFECT = "against the scene's own truth: HOTA 100.0, MOTA 100.0, IDF1 100.0, 0 id switches\n"
COCO = ("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "bench")


@cache
def truth(names: tuple[str, ...] = CLASS_NAMES) -> list[Result]:
    """What a tracker would say that knows the scene, of a model with these class names."""
    scene = Scene(parse_scene_url(URL))
    results = []
    for index in range(scene.frame_count):
        known = scene.truth(index)
        clear = known.clear
        class_ids = [names.index(CLASS_NAMES[class_id]) for class_id in known.class_ids[clear]]
        ones = np.ones(clear.sum())
        frame = Frame(index, index, Fraction(1, 5), np.zeros((216, 384, 3), np.uint8), URL, 0.0)
        tracks = Tracks(known.ids[clear], known.boxes[clear], ones, class_ids, 0 * ones)
        results.append(Result(frame, Detections([], [], []), tracks, names, {}))
    return results


def scored(results: Iterable[Result], capsys: pytest.CaptureFixture[str], classes: list[str] | None = None) -> str:
    with RunScore(RenderedTruth(URL), classes) as score:
        for result in results:
            score.write(result)
        score.print()
    return capsys.readouterr().err


def with_track(result: Result, class_id: int) -> Result:
    """The result with a track of that class where nothing is."""
    tracks = result.tracks
    more = Tracks(
        np.append(tracks.ids, 999),
        np.concatenate([tracks.boxes, np.array([[1, 1, 9, 30]], np.float32)]),
        np.append(tracks.scores, np.float32(1)),
        np.append(tracks.class_ids, class_id),
        np.append(tracks.detection_index, 0),
    )
    return replace(result, tracks=more)


def test_the_truth_scores_a_hundred(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(len(result.tracks) for result in truth()) > 5
    assert scored(truth(), capsys) == PERFECT


def test_only_the_frames_that_were_seen_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert scored(truth()[:2], capsys) == PERFECT


def test_what_is_missed_and_what_is_not_there_costs(capsys: pytest.CaptureFixture[str]) -> None:
    missed = replace(truth()[0], tracks=Tracks([], [], [], [], []))
    assert "HOTA 100.0" not in scored([missed, *truth()[1:]], capsys)
    assert "MOTA 100.0" not in scored([with_track(truth()[0], class_id=0), *truth()[1:]], capsys)


def test_what_no_scene_shows_costs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    results = [with_track(result, COCO.index("bench")) for result in truth(COCO)]
    assert scored(results, capsys) == PERFECT


@pytest.mark.parametrize("classes", [["person"], ["bus", "person"], ["0"], ["0", "5"]])
def test_only_the_classes_that_were_asked_for_count(capsys: pytest.CaptureFixture[str], classes: list[str]) -> None:
    results = []
    for result in truth(COCO):
        wanted = np.isin(result.tracks.class_ids, [0, 5] if len(classes) > 1 else [0])
        results.append(with_track(replace(result, tracks=result.tracks[wanted]), COCO.index("truck")))
    assert scored(results, capsys, classes) == PERFECT


def test_a_model_of_other_things_is_not_scored(capsys: pytest.CaptureFixture[str]) -> None:
    results = [replace(result, class_names=["cat"] * 6) for result in truth()]
    assert scored(results, capsys) == ""


def test_a_model_that_classifies_is_not_scored(capsys: pytest.CaptureFixture[str]) -> None:
    empty = Tracks([], [], [], [], [])
    results = [replace(each, tracks=empty, image_class=ImageClass(0, "person", 0.9)) for each in truth()]
    assert scored(results, capsys) == ""


def turning(result: Result, index: int, turn: float = 0.0) -> Result:
    """The result of a model of rotated boxes that knows the scene, turned by an angle in rad."""
    known = Scene(parse_scene_url(URL)).truth(index, shapes=True)
    assert known.rotated is not None
    rotated = known.rotated[known.clear] + np.array([0, 0, 0, 0, turn], np.float32)
    return replace(result, tracks=replace(result.tracks, rotated=rotated))


def test_rotated_boxes_are_compared_as_they_are_turned(capsys: pytest.CaptureFixture[str], labels: Path) -> None:
    assert scored([turning(result, index) for index, result in enumerate(truth())], capsys) == PERFECT
    # A half turn is the same box; upright boxes alone would not tell a quarter turn.
    assert scored([turning(result, index, np.pi) for index, result in enumerate(truth())], capsys) == PERFECT
    quarter = [turning(result, index, np.pi / 2) for index, result in enumerate(truth())]
    assert "MOTA -" in scored(quarter, capsys)
    with RunScore(FolderTruth(labels), None) as score:  # whose labels are upright
        for result in quarter:
            score.write(result)
        score.print()
    assert "HOTA 100.0" in capsys.readouterr().err


def test_without_trackeval_its_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    extra = "trackeval is not installed; add it with: pip install 'streamdet[eval]'"
    assert scored(truth(), capsys) == f"not scored against the scene's own truth: {extra}\n"


@pytest.mark.parametrize(("options", "scores"), [((), 1), (("--stride", 2), 0)])
def test_a_run_over_a_scene_is_scored(
    streamdet: Callable[..., str], tmp_path: Path, options: tuple[object, ...], scores: int
) -> None:
    command = ("track", "scene://street?seconds=1&fps=3&size=192x108", "--tracks", tmp_path / "tracks.txt")
    printed = streamdet(*command, "--max-frames", 2, *options, code=0)
    assert printed.count("against the scene's own truth: HOTA") == scores


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The scene's truth as a sequence of the MOTChallenge."""
    write_mot_truth(Scene(parse_scene_url(URL)), tmp_path / "labels", range(len(CLASS_NAMES)))
    return tmp_path / "labels"


@pytest.mark.parametrize("seen", [slice(None), slice(2)])
def test_tracks_are_scored_against_the_frames_of_a_folder_that_were_seen(
    capsys: pytest.CaptureFixture[str], labels: Path, seen: slice
) -> None:
    with RunScore(FolderTruth(labels), None) as score:
        for result in truth()[seen]:
            score.write(result)
        score.print()
    perfect = f"against {labels}: HOTA 100.0, MOTA 100.0, IDF1 100.0, 0 id switches"
    assert " ".join(capsys.readouterr().err.split()) == perfect


def test_frames_beyond_the_labels_do_not_count(capsys: pytest.CaptureFixture[str], labels: Path) -> None:
    info = labels / "seqinfo.ini"
    info.write_text(info.read_text().replace("seqLength=5", "seqLength=2"))
    rows = (labels / "gt" / "gt.txt").read_text().splitlines(keepends=True)
    (labels / "gt" / "gt.txt").write_text("".join(row for row in rows if int(row.split(",")[0]) <= 2))
    with RunScore(FolderTruth(labels), None) as score:
        for result in truth():
            score.write(result)
        score.print()
    assert "HOTA 100.0, MOTA 100.0" in capsys.readouterr().err


def test_a_run_is_scored_against_labels(streamdet: Callable[..., str], tmp_path: Path, labels: Path) -> None:
    command = ("track", URL, "--tracks", tmp_path / "tracks.txt", "--truth", labels)
    assert f"against {labels}: HOTA" in streamdet(*command, code=0).replace("\n", "")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--stride", 2), "expected --truth or --every, found both"),
        (("--truth", "nowhere"), "expected seqLength, the number of frames, in nowhere"),
        ((URL,), "expected one source for --truth, found 2"),
    ],
)
def test_labels_that_cannot_score_a_run(
    streamdet: Callable[..., str], labels: Path, options: tuple[object, ...], sentence: str
) -> None:
    assert sentence in streamdet("track", URL, "--truth", labels, *options, code=2)
