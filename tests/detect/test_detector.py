"""The detector against reference outputs, and its stream against single calls."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.letterbox import Letterbox, letterboxed
from tests.detect.pictures import NAMES, picture, to_frame
from tests.exact import EXACT


@pytest.fixture(scope="module")
def detector(weights: Path) -> Detector:
    return Detector(weights, conf=0.25, iou=0.7, **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_the_letterboxed_input_agrees_with_the_reference(data: Path, name: str) -> None:
    image = picture(data, name)
    with np.load(data / "oracles" / "yolov8n" / f"{name}_input_u8.npz") as stored:
        expected = stored[stored.files[0]][0].transpose(1, 2, 0)
    letterbox = Letterbox.fit(image.shape[:2], 640, 32)
    canvas = letterboxed(image, letterbox)
    assert canvas.shape == expected.shape
    assert np.abs(canvas.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_boxes_and_scores_agree_with_the_reference(data: Path, detector: Detector, name: str) -> None:
    reference = json.loads((data / "oracles" / "yolov8n" / "boxes.json").read_text())["frames"][name]
    expected = np.array(reference["boxes_xyxy_conf_cls"])
    found = detector(picture(data, name))
    assert len(found) == len(expected)
    # Rows of nearly equal score may change places: match each reference row to the nearest of its class.
    for x1, y1, x2, y2, score, class_id in expected:
        distance = np.abs(found.boxes - [x1, y1, x2, y2]).max(1) + 1e6 * (found.class_ids != class_id)
        row = distance.argmin()
        assert distance[row] < 1
        assert found.scores[row] == pytest.approx(score, abs=0.01)
    assert (np.diff(found.scores) <= 0).all()


def test_only_the_classes_asked_for_come_out(data: Path, weights: Path) -> None:
    image = picture(data, "car-detection_200")
    cars = Detector(weights, classes=["car"], **EXACT)(image)
    assert set(cars.class_ids.tolist()) == {2}
    assert [detection.class_name for detection in cars] == ["car"] * len(cars)
    others: list[Any] = [[2], 2, "car"]
    for other in others:
        np.testing.assert_array_equal(Detector(weights, classes=other, **EXACT)(image).boxes, cars.boxes)


def test_agnostic_nms_keeps_one_box_where_two_classes_claim_it(data: Path, weights: Path) -> None:
    image = picture(data, "car-detection_200")
    aware, agnostic = Detector(weights, **EXACT), Detector(weights, agnostic=True, **EXACT)
    assert len(aware(image)) == 4
    assert len(agnostic(image)) == 2


def test_max_det_keeps_the_best(data: Path, weights: Path, detector: Detector) -> None:
    image = picture(data, "MOT17-04_000001")
    best = Detector(weights, max_det=5, **EXACT)(image)
    np.testing.assert_array_equal(best.scores, detector(image).scores[:5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["persn"]}, "no class 'persn'; did you mean 'person'"),
        ({"conf": 1.5}, "conf must be between 0 and 1, got 1.5"),
        ({"size": 100}, "multiple of the model's stride 32, got 100"),
        ({"device": "gpu"}, "device must be auto, cpu or cuda:N, got 'gpu'"),
        ({"device": "cuda:77"}, "CUDA devices"),
        ({"max_det": 0}, "max_det must be at least 1, got 0"),
    ],
)
def test_bad_options_are_one_sentence(weights: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Detector(weights, **options)


def test_the_stream_gives_what_single_calls_give(data: Path, detector: Detector) -> None:
    images = [picture(data, name) for name in NAMES]
    streamed = list(detector.stream(to_frame(image, i) for i, image in enumerate(images)))
    assert [f.index for f, _ in streamed] == [0, 1, 2, 3]
    for image, (_, found) in zip(images, streamed, strict=True):
        np.testing.assert_allclose(found.boxes, detector(image).boxes, atol=1e-3)


def test_a_model_with_other_classes_brings_its_own_names(data: Path, tiny_weights: Path) -> None:
    mine = Detector(tiny_weights, conf=0.0, size=320, classes=["dog"], **EXACT)
    assert mine.class_names == ("cat", "dog")
    assert set(mine(picture(data, NAMES[0])).class_ids.tolist()) == {1}


def test_an_image_may_come_in_other_ways(data: Path, detector: Detector) -> None:
    image = picture(data, NAMES[0])
    expected = detector(image).boxes
    assert len(expected) > 0
    for other in (image / 255, np.dstack([image, image[:, :, 0]]), image.astype(np.int32), np.asfortranarray(image)):
        np.testing.assert_array_equal(detector(other).boxes, expected)
    ((_, streamed),) = detector.stream([to_frame(image / 255)])
    np.testing.assert_allclose(streamed.boxes, expected, atol=1e-3)


def test_an_image_may_be_a_file_or_come_from_opencv(data: Path, detector: Detector) -> None:
    path = data / "oracles" / "yolov8n" / f"{NAMES[0]}.png"
    expected = detector(picture(data, NAMES[0]))
    assert len(expected) > 0
    assert detector(path) == detector(str(path)) == expected
    assert detector(cv2.imread(str(path)), order="bgr") == expected


def test_an_image_that_is_no_image_is_refused(detector: Detector) -> None:
    with pytest.raises(InputError, match=r"expected an image, but 'none.png' cannot be read: no such file"):
        detector("none.png")
    with pytest.raises(InputError, match=r"expected an image \(H, W, 3\), .* channels first"):
        detector(np.zeros((3, 48, 64), np.uint8))
    with pytest.raises(InputError, match="values of 0 to 1 in an image of float32"):
        to_frame(np.full((48, 64, 3), 255, np.float32))


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_cuda_agrees_with_the_cpu(data: Path, weights: Path, detector: Detector, name: str) -> None:
    image = picture(data, name)
    on_gpu = [
        d for _, d in Detector(weights, device="cuda:0", backend="torch").stream(to_frame(image, i) for i in range(4))
    ]
    expected = detector(image)
    for found in on_gpu:
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.5)
        np.testing.assert_allclose(found.scores, expected.scores, atol=0.01)
