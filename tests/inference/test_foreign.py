"""ONNX detectors of other programs: recognised, decoded, and computed by every backend."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.inference.layouts import Pixels, recognised
from streamdet.models.weights import load_model
from streamdet.types import Float32Array
from tests.detect.task_models import TABLES, write_weights
from tests.detect.test_tasks import assert_alike

onnx = pytest.importorskip("onnx")

SIDE_PX = 64
CELLS = 64 + 16 + 4  # of strides 8, 16 and 32 in an image of 64x64 px
GREY = np.full((SIDE_PX, SIDE_PX, 3), 114, np.uint8)


def write(path: Path, outputs: Mapping[str, Any], opset: int = 13, inputs: int = 1, **metadata: str) -> Path:
    """Write a network that gives `outputs` for any image."""
    helper, float_type = onnx.helper, onnx.TensorProto.FLOAT
    fed = [helper.make_tensor_value_info("images", float_type, (1, 3, SIDE_PX, SIDE_PX))]
    fed += [helper.make_tensor_value_info("orig_target_sizes", onnx.TensorProto.INT64, (1, 2))] * (inputs - 1)
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    stored = [onnx.numpy_helper.from_array(array, f"{name}_stored") for name, array in arrays.items()]
    nodes = [helper.make_node("Identity", [f"{name}_stored"], [name]) for name in arrays]
    graph = helper.make_graph(nodes, "network", fed, given, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def rows_with(count: int, width: int, row: int, values: list[float]) -> Float32Array:
    """Return f32 (1, count, width) of zeros but for one row, which begins with `values`."""
    rows = np.zeros((1, count, width), np.float32)
    rows[0, row, : len(values)] = values
    return rows


def found(path: Path, backend: str) -> list[tuple[list[float], float, str]]:
    detections = Detector(path, backend=backend)(GREY)
    return [([round(x, 3) for x in each.box], round(each.score, 3), each.class_name) for each in detections]


def logits(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


# Each network sees one object, with the corners 8, 16, 24, 48: its centre is 16, 32, its size 16 by 32.
YOLOV8 = {"output0": rows_with(CELLS, 7, 5, [16, 32, 16, 32, 0.1, 0.75, 0.2]).transpose(0, 2, 1)}
YOLOV5 = {"output0": rows_with(3 * CELLS, 8, 5, [16, 32, 16, 32, 0.75, 0.1, 1, 0.2])}
# Cell 34 is in row 4, column 2 of stride 8:  8 (0 + 2) = 16,  8 (0 + 4) = 32,  8 exp(log 2) = 16.
YOLOX = {"output": rows_with(CELLS, 8, 34, [0, 0, np.log(2), np.log(4), 0.75, 0.1, 1, 0.2])}
END_TO_END = {"output0": rows_with(300, 6, 0, [8, 16, 24, 48, 0.75, 1])}
SHARES = [16 / 64, 32 / 64, 16 / 64, 32 / 64]
LOGITS = np.full((1, 300, 3), -9, np.float32)
LOGITS[0, 7] = [-9, logits(0.75), -9]
RF_DETR = {"dets": rows_with(300, 4, 7, SHARES), "labels": LOGITS}
HUGGING_FACE = {"logits": LOGITS, "pred_boxes": rows_with(300, 4, 7, SHARES)}
SCORES, LABELS = np.zeros((1, 300), np.float32), np.zeros((1, 300), np.int64)
SCORES[0, 3], LABELS[0, 3] = 0.75, 1
D_FINE = {"labels": LABELS, "boxes": rows_with(300, 4, 3, [8, 16, 24, 48]), "scores": SCORES}


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
@pytest.mark.parametrize(
    ("outputs", "inputs", "name"),
    [
        (YOLOV8, 1, "1"),
        (YOLOV5, 1, "1"),
        (YOLOX, 1, "1"),
        (END_TO_END, 1, "bicycle"),
        (RF_DETR, 1, "1"),
        (HUGGING_FACE, 1, "1"),
        (D_FINE, 2, "bicycle"),
    ],
)
def test_one_object_is_found_in_every_layout(
    tmp_path: Path, outputs: dict[str, Any], inputs: int, name: str, backend: str
) -> None:
    path = write(tmp_path / "m.onnx", outputs, inputs=inputs)
    assert found(path, backend) == [([8, 16, 24, 48], 0.75, name)]


@pytest.mark.parametrize("opset", [11, 12, 17, 20])
def test_a_network_of_any_opset_is_wrapped(tmp_path: Path, opset: int) -> None:
    path = write(tmp_path / "m.onnx", YOLOX, opset=opset)
    assert found(path, "onnx") == [([8, 16, 24, 48], 0.75, "1")]


@pytest.mark.parametrize(("outputs", "count"), [(END_TO_END, 2), (YOLOV8, 1)])
def test_a_network_that_suppresses_by_itself_keeps_all_it_gives(
    tmp_path: Path, outputs: dict[str, Any], count: int
) -> None:
    """The same object is given twice."""
    (array,) = outputs.values()
    array = array.copy()
    if array.shape[1] == 300:
        array[0, 1] = array[0, 0]
    else:
        array[0, :, 6] = array[0, :, 5]
    assert len(found(write(tmp_path / "m.onnx", {"output0": array}), "onnx")) == count


def test_names_in_the_metadata_are_used(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", YOLOV8, names="{0: 'cat', 1: 'dog', 2: 'cow'}", stride="32", task="detect")
    assert found(path, "onnx") == [([8, 16, 24, 48], 0.75, "dog")]


@pytest.mark.parametrize(
    ("inputs", "outputs", "metadata", "name"),
    [
        ({"images": (None, 3, None, None)}, {"o": (None, 84, None)}, {}, "YOLOv8, v9, v11 or v12"),
        ({"images": (1, 3, 640, 640)}, {"o": (1, 5, 8400)}, {}, "YOLOv8, v9, v11 or v12"),
        ({"images": (1, 3, 640, 640)}, {"o": (1, 25200, 6)}, {}, "YOLOv5 or v7"),
        ({"images": (None, 3, None, None)}, {"o": (None, None, 85)}, {"names": "{}"}, "YOLOv5 or v7"),
        ({"images": (1, 3, 416, 416)}, {"o": (1, 3549, 85)}, {}, "YOLOX"),
        ({"images": (1, 3, 640, 640)}, {"o": (1, 300, 6)}, {}, "YOLOv10 or YOLO26"),
        ({"input": (1, 3, 560, 560)}, {"dets": (1, 300, 4), "labels": (1, 300, 91)}, {}, "RF-DETR"),
        ({"x": (1, 3, 640, 640)}, {"logits": (1, 300, 80), "pred_boxes": (1, 300, 4)}, {}, "RT-DETR or D-FINE"),
    ],
)
def test_a_layout_is_known_by_its_shapes(
    inputs: dict[str, Any], outputs: dict[str, Any], metadata: dict[str, str], name: str
) -> None:
    assert recognised(inputs, outputs, metadata, "m.onnx").name == name


@pytest.mark.parametrize(
    ("inputs", "outputs", "metadata"),
    [
        # YOLOv5 or YOLOX: without a size and names, nothing tells.
        ({"images": (None, 3, None, None)}, {"o": (None, None, 85)}, {}),
        ({"images": (1, 3, 640, 640)}, {"dets": (1, 100, 5), "labels": (1, 100)}, {}),
        ({"images": (1, 3, 224, 224)}, {"o": (1, 1000)}, {}),
        ({"images": (1, 3, 640, 640)}, {"o": (1, 300, 38), "p": (1, 32, 160, 160)}, {"task": "pose"}),
        ({}, {"o": (1, 84, 8400)}, {}),
    ],
)
def test_what_is_not_certain_is_refused(
    inputs: dict[str, Any], outputs: dict[str, Any], metadata: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=r"^m\.onnx: expected the detector of streamdet export, or of YOLOv5.* found"):
        recognised(inputs, outputs, metadata, "m.onnx")


def test_pixels_are_what_each_network_was_trained_on() -> None:
    image = torch.tensor([[[[255, 51, 0]]]], dtype=torch.uint8)  # one pixel
    zero_one, bgr, imagenet = Pixels()(image), Pixels(bgr=True)(image), Pixels(imagenet=True)(image)
    assert zero_one.flatten().tolist() == pytest.approx([1, 0.2, 0])
    assert bgr.flatten().tolist() == [0, 51, 255]
    # (1 - 0.485) / 0.229,  (0.2 - 0.456) / 0.224,  (0 - 0.406) / 0.225
    assert imagenet.flatten().tolist() == pytest.approx([2.2489, -1.1429, -1.8044], abs=1e-4)
    _, size = Pixels(sized=(48, 64))(image)
    assert size.tolist() == [[64, 48]]


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07nothing")
    with pytest.raises(InputError, match=r"m\.onnx: expected an ONNX model, found something else"):
        Detector(tmp_path / "m.onnx")


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_yolox_nano_agrees_with_yolov8n_on_people(data: Path, backend: str) -> None:
    """Both see the six people of the first frame that YOLOX-nano is surest of."""
    image = sorted((data / "oracles/yolov8n").glob("*.png"))[0]
    people = Detector(data / "weights/yolox_nano.onnx", backend=backend)(image)["person"]
    others = Detector(data / "weights/yolov8n.pt", backend="torch", classes=["person"], conf=0.1)(image)
    for person in people.boxes[:6]:
        low, high = np.maximum(person[:2], others.boxes[:, :2]), np.minimum(person[2:], others.boxes[:, 2:])
        shared = (high - low).clip(0).prod(1)
        union = (person[2:] - person[:2]).prod() + (others.boxes[:, 2:] - others.boxes[:, :2]).prod(1) - shared
        assert (shared / union).max() > 0.7


def exported_elsewhere(weights: Path, path: Path, task: str) -> Path:
    """Write the bare network of `weights` as another program does: images f32 in, what the head gives out."""
    module = load_model(weights).module.fuse().eval()
    image = torch.zeros(1, 3, SIDE_PX, SIDE_PX)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = ["output0", "output1"][: 2 if task == "segment" else 1]
        torch.onnx.export(module, (image,), path, dynamo=False, input_names=["images"], output_names=outputs)
    network = onnx.load(path)
    metadata = {"task": task, "names": "{0: 'cat', 1: 'dog'}", "stride": "32", "kpt_shape": "[17, 3]"}
    onnx.helper.set_model_props(network, metadata)
    onnx.save(network, path)
    return path


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
@pytest.mark.parametrize("task", TABLES)
def test_a_network_of_each_task_finds_what_its_weights_find(tmp_path: Path, task: str, backend: str) -> None:
    weights = write_weights(tmp_path, task)
    options: dict[str, Any] = {"size": SIDE_PX if task != "classify" else None, "conf": 0.4, "device": "cpu"}
    image = np.random.default_rng(1).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    theirs = exported_elsewhere(weights, tmp_path / "theirs.onnx", task)
    found = Detector(theirs, backend=backend, **options)(image)
    expected = Detector(weights, backend="torch", **(options | {"size": SIDE_PX}))(image)
    assert_alike(found, expected)
    assert (len(found) > 0) == (task != "classify")
    assert found.class_names == ("cat", "dog")
