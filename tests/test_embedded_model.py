"""The model inside the package: small, and what is used where nobody names another."""

import streamdet
from streamdet.model.weights import load_model
from streamdet.resources import EMBEDDED_MODEL
from streamdet.scene.truth import CLASS_NAMES


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
