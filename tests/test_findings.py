"""A run that finds nothing, or only weak boxes, says so and what to try."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from streamdet.cli.findings import Findings
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import TrackOptions
from streamdet.result import Result
from streamdet.rows import ImageClass
from streamdet.types import Detections, Frame, Tracks

IMAGE = np.zeros((8, 8, 3), np.uint8)
BOX = np.array([[1, 1, 4, 4]], np.float32)
BETTER = "try a better model than the small one inside the package (--model yolov8n.pt), a larger --size, such as 1280"


def result(index: int, score: float | None, track: tuple[int, float] | None = None, *, class_id: int = 0) -> Result:
    """Return a frame with a detection of that score, and a track of that id and score, person or car."""
    count, ids, scores = int(score is not None), *(([track[0]], [track[1]]) if track else ([], []))
    columns: tuple[Any, ...] = BOX[:count], [score] * count, [class_id] * count
    tracked: tuple[Any, ...] = ids, BOX[: len(ids)], scores, [class_id] * len(ids), [-1] * len(ids)
    found, tracks = Detections(*columns), Tracks(*tracked)
    return Result(
        Frame(index, index, Fraction(1, 10), IMAGE, "a", 0.0), found, tracks, ("person", "car"), {}, None, None
    )


def warnings(*results: Result, **options: Any) -> list[str]:
    findings = Findings()
    for each in results:
        findings.add(each)
    return findings.warnings(TrackOptions(sources=("a.mp4",), **({"model": EMBEDDED_MODEL} | options)))


def test_nothing_was_detected() -> None:
    (sentence,) = warnings(result(0, None), result(1, None))
    assert sentence == f"nothing was detected in 2 frames: {BETTER} or a lower --conf"


def test_nothing_was_good_enough_for_a_track() -> None:
    (sentence,) = warnings(result(0, 0.125), result(1, 0.25), size=(320, 640), classes=["person"])
    assert (
        sentence == f"nothing was tracked: the best detection scored 0.25; {BETTER}, a lower --conf or other --classes"
    )


def test_only_weak_tracks() -> None:
    (sentence,) = warnings(
        result(0, 0.9), result(1, 0.2, (1, 0.2)), result(2, 0.3, (1, 0.3)), result(3, 0.25, (2, 0.25)), model="own.pt"
    )
    start = "only weak boxes were found: half of the tracks never scored above 0.28; "
    assert sentence == f"{start}try a larger --size, such as 1280 or a lower --conf"


@pytest.mark.parametrize("scores", [[(1, 0.2), (1, 0.9)], [(1, 0.5), (2, 0.4), (3, 0.1)]])
def test_a_good_run_says_nothing(scores: list[tuple[int, float]]) -> None:
    assert warnings(*(result(index, score, (number, score)) for index, (number, score) in enumerate(scores))) == []


def test_a_run_without_a_frame_has_other_problems() -> None:
    assert warnings() == []


def test_a_model_that_classifies_tells_the_classes_and_needs_no_boxes() -> None:
    findings = Findings()
    for index, name in enumerate(["cat", "dog", "dog"]):
        findings.add(replace(result(index, None), image_class=ImageClass(0, name, 0.9)))
    assert str(findings) == "dog in 2 frames, cat in 1 frame"
    assert findings.warnings(TrackOptions(sources=("a.mp4",))) == []
