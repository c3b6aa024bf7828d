"""Several labels for a box: a row for each of its best classes, from the network to the detections."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.export import ExportJob, export
from streamdet.inference.graph import RowsNetwork
from streamdet.inference.load import load_session
from streamdet.models.weights import load_model
from streamdet.options import ThresholdOptions


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


@pytest.mark.parametrize("labels", [2, 80])
def test_each_box_has_a_row_for_each_class(tiny_weights: Path, image: np.ndarray, labels: int) -> None:
    images = torch.from_numpy(image[None])
    single = RowsNetwork(load_model(tiny_weights))(images)[0]
    both = RowsNetwork(load_model(tiny_weights), labels=labels)(images)[0].view(2, -1, 6)
    torch.testing.assert_close(both[0], single)  # the best class comes first
    torch.testing.assert_close(both[1, :, :4], single[:, :4])
    torch.testing.assert_close(both[1, :, 5], 1 - single[:, 5])
    head = load_model(tiny_weights).module.fuse()(images.permute(0, 3, 1, 2) / 255)
    assert isinstance(head, torch.Tensor)
    torch.testing.assert_close(both[:, :, 4].sum(0), head[0, 4:].sum(0))


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_backends_agree(tiny_weights: Path, image: np.ndarray, backend: str) -> None:
    expected, found = (
        load_session(tiny_weights, device="cpu", backend=name, labels=2)(image[None]) for name in ("torch", backend)
    )
    np.testing.assert_allclose(found[..., :5], expected[..., :5], atol=0.01)
    assert load_session(tiny_weights, device="cpu", backend=backend)(image[None]).shape[1] * 2 == found.shape[1]


def test_a_box_of_two_classes_is_two_detections(tiny_weights: Path, image: np.ndarray) -> None:
    two = Detector(tiny_weights, device="cpu", backend="torch", size=96, conf=0, nms="none", labels=2, max_det=9999)
    found = two(image)
    one = Detector(tiny_weights, device="cpu", backend="torch", size=96, conf=0, nms="none", max_det=9999)(image)
    assert len(found) == 2 * len(one)
    assert (np.bincount(found.class_ids) == len(one)).all()


def test_an_exported_model_states_its_labels_and_its_overlap(tiny_weights: Path, tmp_path: Path) -> None:
    path, card = export(ExportJob(tiny_weights, "onnx", (64, 96), out=tmp_path / "a.onnx", labels=2))
    assert (card.labels, card.iou) == (2, 0.7)
    assert load_session(path, backend="onnx").card == card
    assert load_session(path, backend="onnx", labels=2).card == card
    with pytest.raises(InputError, match=r"a.onnx was exported with 2 labels for a box, got 1"):
        load_session(path, backend="onnx", labels=1)


def test_the_overlap_inside_is_that_of_the_export(tiny_weights: Path, tmp_path: Path) -> None:
    inside = ThresholdOptions(conf=0.1, iou=0.6, max_det=50)
    path, card = export(ExportJob(tiny_weights, "onnx", (64, 96), suppression=inside, out=tmp_path / "a.onnx"))
    assert card.suppression is not None
    assert card.suppression.iou == card.iou == 0.6
    Detector(path, backend="onnx", conf=0.1, max_det=50)  # which needs no iou to agree
    with pytest.raises(InputError, match=r"exported with greedy NMS at iou 0\.6"):
        Detector(path, backend="onnx", conf=0.1, max_det=50, nms="soft")


def test_models_with_anchors_have_their_published_overlap(data: Path) -> None:
    for name, iou in (("yolov5n", 0.45), ("yolov8n", 0.7)):
        weights = data / "weights" / f"{name}.pt"
        assert load_session(weights, device="cpu", backend="torch").card.iou == iou
        assert Detector(weights, device="cpu", backend="torch")._select.iou == iou
        assert Detector(weights, device="cpu", backend="torch", iou=0.6)._select.iou == 0.6
