"""The model inside the package: small, and what is used where nobody names another."""

from pathlib import Path

import pytest

import streamdet
from streamdet.evaluate.mot import evaluate_mot
from streamdet.files import EMBEDDED_MODEL
from streamdet.models.weights import load_model
from streamdet.scene.truth import CLASS_NAMES
from streamdet.sinks.formats import open_track_sink
from tests.exact import EXACT


def test_it_is_small() -> None:
    assert EMBEDDED_MODEL.stat().st_size <= 4_000_000
    assert sum(parameter.numel() for parameter in load_model(EMBEDDED_MODEL).module.parameters()) <= 2_000_000


def test_a_detector_without_a_model_uses_it() -> None:
    detector = streamdet.Detector()
    assert detector.class_names == CLASS_NAMES == ("person", "bicycle", "car", "motorcycle", "bus", "truck")


def test_tracking_without_a_model_uses_it() -> None:
    results = list(streamdet.track("scene://street?seconds=1&fps=2&size=192x108"))
    assert [result.frame.index for result in results] == [0, 1]
    assert all(tuple(result.class_names) == CLASS_NAMES for result in results)


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_people_are_tracked_on_footage_it_never_saw(data: Path, tmp_path: Path) -> None:
    """795 frames of PETS09-S2L1 with the ground truth of MOT15; at least what the package promises."""
    tracks = tmp_path / "PETS09-S2L1.txt"
    with open_track_sink(tracks) as sink:
        for result in streamdet.track(data / "videos" / "vtest.avi", classes=["person"], **EXACT):
            sink.write(result)
    scores = evaluate_mot(data / "mot" / "MOT15" / "PETS09-S2L1", tracks).combined
    assert scores.hota >= 40
    assert scores.mota >= 50
