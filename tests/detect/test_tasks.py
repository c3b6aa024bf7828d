"""Each task of a model: what its rows mean in an image, by known answers, and real models against reference outputs."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamdet
from streamdet.boxes import Selection, prob_iou
from streamdet.detect.detector import Detector
from streamdet.detect.tasks import ClassifyTask, PoseTask, RotatedTask, SegmentTask, task_from
from streamdet.errors import InputError
from streamdet.export import ExportJob, export
from streamdet.inference.session import Found, ModelCard
from streamdet.letterbox import CenterCrop, Letterbox, letterboxed
from streamdet.options import ThresholdOptions
from streamdet.types import Detections, Float32Array, Frame, UInt8Array
from tests.detect.pictures import picture
from tests.detect.task_models import TABLES, write_weights

IMAGE_HW = (100, 200)
# Half the size, with 7 px above and below: x_model = x / 2, y_model = y / 2 + 7
LETTERBOX = Letterbox.fit(IMAGE_HW, (64, 100), 1)
BACKENDS = ["torch", "onnx", "openvino"]


def row(*numbers: float) -> Float32Array:
    return np.array([numbers], np.float32)


# Key points


def test_key_points_are_in_px_of_the_image_also_beyond_it() -> None:
    found = PoseTask((2, 3)).detections(row(10, 17, 30, 37, 0.5, 0, 15, 27, 0.25, -5, 7, 1), LETTERBOX, IMAGE_HW)
    assert found.boxes.tolist() == [[20, 20, 60, 60]]
    assert found.keypoints is not None
    assert found.keypoints.tolist() == [[[30, 40, 0.25], [-10, 0, 1]]]


def test_key_points_without_visibility_are_visible() -> None:
    found = PoseTask((2, 2)).detections(row(10, 17, 30, 37, 0.5, 0, 15, 27, 20, 32), LETTERBOX, IMAGE_HW)
    assert found.keypoints is not None
    assert found.keypoints.tolist() == [[[30, 40, 1], [40, 50, 1]]]


# Rotated boxes


@given(angle=st.floats(-10, 10), width=st.floats(2, 40), height=st.floats(2, 40))
def test_a_rotated_box_is_the_same_rectangle_within_a_quarter_turn(angle: float, width: float, height: float) -> None:
    stated = row(50 - width / 2, 32 - height / 2, 50 + width / 2, 32 + height / 2, 0.5, 0, angle)
    found = RotatedTask().detections(stated, LETTERBOX, IMAGE_HW)
    assert found.rotated is not None
    assert 0 <= found.rotated[0, 4] <= np.float32(math.pi / 2)
    expected = corners(100, 50, 2 * width, 2 * height, angle)
    own = corners(*found.rotated[0].tolist())
    distance = np.linalg.norm(own[:, None] - expected, axis=2)
    assert distance.min(0).max() < 0.01
    # The box that encloses it, clipped to the image.
    limits = np.concatenate([expected.min(0), expected.max(0)]).clip(0, [200, 100, 200, 100])
    np.testing.assert_allclose(found.boxes[0], limits, atol=0.01)


def corners(x: float, y: float, width: float, height: float, angle: float) -> Float32Array:
    """Return the corners (4, 2) of a rectangle whose width lies `angle` rad from the x axis towards y."""
    along = np.array([math.cos(angle), math.sin(angle)]) * width / 2
    across = np.array([-math.sin(angle), math.cos(angle)]) * height / 2
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    return np.array([[x, y] + a * along + b * across for a, b in signs], np.float32)


def test_rotated_overlap_by_hand() -> None:
    """Equal boxes overlap by 1. For squares of side s, d apart, S1 + S2 = s^2 / 6 I: B_D = d^2 / 4 / (s^2 / 6)."""
    square, moved = row(0, 0, 12, 12, 0.0), row(6, 0, 18, 12, 0.0)
    assert prob_iou(square, square)[0, 0] == pytest.approx(1, abs=1e-3)
    expected = 1 - math.sqrt(1 - math.exp(-(6**2) / 4 / (12**2 / 6)))
    assert prob_iou(square, moved)[0, 0] == pytest.approx(expected, abs=1e-5)
    # A long box over a crossing one: |S1 + S2| = (l + s)^2, |S1| = |S2| = l s, with l = 120^2 / 12 and s = 12^2 / 12.
    long, crossing = row(0, 54, 120, 66, 0.0), row(0, 54, 120, 66, math.pi / 2)
    large, small = 120**2 / 12, 12**2 / 12
    distance = math.log((large + small) ** 2 / (4 * large * small)) / 2
    assert prob_iou(long, crossing)[0, 0] == pytest.approx(1 - math.sqrt(1 - math.exp(-distance)), abs=1e-4)
    # A quarter turn of the box that has width and height exchanged is the same box.
    exchanged = row(54, 0, 66, 120, math.pi / 2)
    assert prob_iou(long, exchanged)[0, 0] == pytest.approx(1, abs=1e-3)


def test_crossing_boxes_are_kept_and_turned_copies_are_not() -> None:
    long = [0, 54, 120, 66]
    rows = np.array([[*long, 0.9, 0, 0.5], [*long, 0.8, 0, 0.52], [*long, 0.7, 0, 0.5 + math.pi / 2]], np.float32)
    select = Selection(conf=0.5, iou=0.5)
    assert RotatedTask().kept(rows, select)[:, 4].tolist() == pytest.approx([0.9, 0.7])
    assert len(select.kept(rows)) == 1  # upright boxes would all be one


# Silhouettes


def test_a_mask_is_the_sigmoid_of_weighted_prototypes_within_its_box() -> None:
    prototypes = np.zeros((2, 16, 25), np.float32)
    prototypes[0, :, 10:], prototypes[1, 8:] = 4, -8
    rows = np.concatenate([row(0, 7, 100, 57, 0.9, 1, 1, 0), row(0, 7, 50, 57, 0.5, 0, 1, 1)])
    found = SegmentTask().detections(Found(rows, prototypes), LETTERBOX, IMAGE_HW)
    assert found.masks is not None
    values = found.masks.values
    assert values.dtype == np.uint8
    sigma = [round(255 / (1 + math.exp(-x))) for x in (0, 4, -4, -8)]
    assert [values[0, 0, 0], values[0, 0, 24], values[1, 12, 0], values[1, 12, 12]] == [sigma[i] for i in (0, 1, 3, 2)]
    assert not values[1, :, 16:].any()  # only cells that its box needs are computed
    # The cells cover the letterbox, which begins 14 px above the image.
    assert found.masks.region.tolist() == [0, -14, 200, 114]
    mask = found.masks.to_image(1)
    assert mask[:40, 85:95].all()
    assert not mask[:, 100:].any()
    assert not mask[60:].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_real_model_that_segments_agrees_with_the_reference(data: Path, backend: str) -> None:
    detector = Detector(data / "weights" / "yolov8n-seg.pt", backend=backend)
    reference = json.loads((data / "oracles" / "yolov8n-seg.json").read_text())
    for name, expected in reference.items():
        found = detector(picture(data, name))
        np.testing.assert_allclose(found.boxes, expected["xyxy"], atol=0.01)
        np.testing.assert_allclose(found.scores, expected["conf"], atol=1e-4)
        assert found.class_ids.tolist() == expected["cls"]
        assert found.masks is not None
        # The areas of the reference are in px of the model input, which is 640 px wide.
        in_model = (640 / found.masks.image_hw[1]) ** 2
        areas = [in_model * found.masks.to_image(index).sum() for index in range(len(found))]
        np.testing.assert_allclose(areas, expected["mask_area_px"], rtol=0.01)


# Whole images


def test_a_classifier_sees_the_square_in_the_middle() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, 50:150] = 200
    crop = CenterCrop.fit(image.shape[:2], 32, 32)
    assert (letterboxed(image, crop) == 200).all()
    assert letterboxed(image, crop).shape == (32, 32, 3)
    tall = CenterCrop.fit((200, 100), 32, 32)
    assert (tall.crop_x, tall.crop_y, tall.side) == (0, 50, 100)


def test_pixels_of_a_shrunk_crop_are_means() -> None:
    image = np.indices((64, 64)).sum(0) % 2 * np.uint8(254)
    canvas = letterboxed(np.dstack([image] * 3).astype(np.uint8), CenterCrop.fit((64, 64), 32, 32))
    assert (canvas == 127).all()


def test_probabilities_come_without_rows() -> None:
    found = ClassifyTask().detections(np.array([0.25, 0.75], np.float32), LETTERBOX, IMAGE_HW, ("cat", "dog"))
    assert (len(found), found.probabilities.tolist(), found.class_names) == (0, [0.25, 0.75], ("cat", "dog"))  # type: ignore[union-attr]


# Every task through detector, stream and export


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of all tasks."""
    path = tmp_path_factory.mktemp("tasks")
    for task in TABLES:
        write_weights(path, task)
    return path


@pytest.fixture(scope="module")
def image() -> UInt8Array:
    noise = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (160, 90), interpolation=cv2.INTER_CUBIC), np.uint8)


def opened(path: Path, **options: object) -> Detector:
    return Detector(path, **({"size": 64, "conf": 0.4, "device": "cpu"} | options))  # type: ignore[arg-type]


def assert_alike(found: Detections, expected: Detections) -> None:
    """Assert that all arrays agree, within what runtimes differ by."""
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    for name in ("boxes", "scores", "keypoints", "rotated", "probabilities"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, atol=0.02, err_msg=name)
    assert (found.masks is None) == (expected.masks is None)
    if found.masks is not None and expected.masks is not None:
        np.testing.assert_allclose(found.masks.values.astype(int), expected.masks.values.astype(int), atol=1)


@pytest.mark.parametrize("task", TABLES)
def test_every_runtime_finds_the_same_in_calls_and_in_streams(folder: Path, image: UInt8Array, task: str) -> None:
    expected = opened(folder / f"{task}.safetensors", backend="torch")(image)
    carried = {"segment": "masks", "pose": "keypoints", "obb": "rotated", "classify": "probabilities"}
    for other in carried.values():
        assert (getattr(expected, other) is not None) == (carried.get(task) == other)
    assert (len(expected) > 0) == (task != "classify")
    frames = [Frame(i, i, Fraction(1, 25), image, "test", 0.0) for i in range(3)]
    for backend in BACKENDS:
        detector = opened(folder / f"{task}.safetensors", backend=backend)
        assert detector.session.card.task == task
        assert_alike(detector(image), expected)
        for _, found in detector.stream(frames):
            assert_alike(found, expected)


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
@pytest.mark.parametrize("size", [None, (64, 64)])
def test_nms_inside_an_exported_graph_keeps_what_the_task_keeps(
    folder: Path, tmp_path: Path, image: UInt8Array, task: str, size: tuple[int, int] | None
) -> None:
    weights = folder / f"{task}.safetensors"
    inside = ThresholdOptions(conf=0.4, iou=0.5, max_det=20)
    path, card = export(ExportJob(weights, "onnx", size, suppression=inside, out=tmp_path / "a.onnx"))
    assert (card.task, card.kpt_shape) == (task, (17, 3) if task == "pose" else None)
    expected = opened(weights, size=(64, 64), iou=0.5, max_det=20, backend="torch")(image)
    assert 1 < len(expected) <= 20
    for backend in ("onnx", "openvino"):
        assert_alike(opened(path, size=(64, 64), iou=0.5, max_det=20, backend=backend)(image), expected)


def test_an_exported_classifier_has_the_size_of_its_task(folder: Path, tmp_path: Path, image: UInt8Array) -> None:
    weights = folder / "classify.safetensors"
    path, card = export(ExportJob(weights, "openvino", "usual", out=tmp_path / "a"))
    assert (card.input_hw, card.layout) == ((224, 224), "probabilities")
    assert_alike(Detector(path)(image), Detector(weights, backend="torch", device="cpu")(image))
    with pytest.raises(
        InputError, match="NMS inside a graph needs a model that finds boxes, found one for the task cl"
    ):
        export(
            ExportJob(
                weights, "onnx", suppression=ThresholdOptions(conf=0.4, iou=0.5, max_det=20), out=tmp_path / "a.onnx"
            )
        )


@pytest.mark.parametrize("task", TABLES)
def test_runs_carry_what_the_task_adds(folder: Path, image: UInt8Array, task: str) -> None:
    weights = folder / f"{task}.safetensors"
    expected = opened(weights, backend="torch")(image)
    with streamdet.Pipeline(model=str(weights), device="cpu", backend="torch") as pipeline:
        (result,) = pipeline.run([image], size=64, conf=0.4)
    assert_alike(result.detections, expected)


def test_a_card_for_another_task_is_refused() -> None:
    for task in ("embed", "pose"):
        with pytest.raises(InputError, match=f"expected a model that detects, found one for the task '{task}'"):
            task_from(ModelCard((), 1, task=task))
