"""What a model's file says about itself: read back as written, from earlier versions too, and refused if unknown."""

import json
from pathlib import Path
from typing import Any

import pytest

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.inference.graph import onnx_graph
from streamdet.inference.onnx import OnnxSession
from streamdet.inference.session import ModelCard, SuppressionCard, embedding_card
from streamdet.models.weights import load_model

# As the first version of streamdet wrote it.
EARLIER = (
    '{"class_names": ["cat", "dog"], "stride": 32, "input_hw": [64, 96], "precision": "fp16", '
    '"suppression": {"conf": 0.1, "iou": 0.7, "max_det": 30}}'
)


def test_a_card_is_read_as_it_was_written() -> None:
    card = embedding_card([(None, 3, 256, 128)], "a.onnx")
    assert (card.task, card.preprocessing, card.layout) == ("embed", "imagenet", "features")
    assert ModelCard.from_json(card.to_json(), "a.onnx") == card


def test_a_card_of_an_earlier_export_is_that_of_a_detector() -> None:
    card = ModelCard.from_json(EARLIER, "a.onnx")
    assert card == ModelCard(("cat", "dog"), 32, (64, 96), "fp16", SuppressionCard(0.1, 0.7, 30))
    assert (card.task, card.preprocessing, card.layout) == ("detect", "pixels", "rows")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "fly"}, r"^a\.onnx: expected a model whose task is 'detect', .* or 'embed', found 'fly'$"),
        ({"layout": "yolox"}, r"^a\.onnx: expected a model whose layout is 'rows', .* or 'features', found 'yolox'$"),
        ({"preprocessing": 3}, r"^a\.onnx: expected a model whose preprocessing is 'pixels' or 'imagenet', found 3$"),
        ({"stride": "wide"}, r"^a\.onnx: expected the description that streamdet export wrote, found: \w+"),
    ],
)
def test_what_is_not_known_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ModelCard.from_json(json.dumps(json.loads(EARLIER) | changes), "a.onnx")


def test_no_card_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"a\.onnx: expected a model that streamdet export wrote, found one of another program"
    ):
        ModelCard.from_json(None, "a.onnx")


def test_a_detector_takes_no_model_for_another_task(tiny_weights: Path, tmp_path: Path) -> None:
    model = load_model(tiny_weights)
    path = tmp_path / "a.onnx"
    path.write_bytes(onnx_graph(model, ModelCard(model.class_names, model.stride, task="embed")))
    assert OnnxSession(path, str(path)).card.task == "embed"
    with pytest.raises(InputError, match="expected a model that detects, found one for the task 'embed'"):
        Detector(path)
