"""The data of the embedded model: which labels are added, and which classes an image is then labelled for."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from scripts.embedded import complete as completing
from scripts.embedded.complete import SURE, UNSURE, Source, complete
from scripts.embedded.pack import pack
from scripts.embedded.teacher import Teacher
from streamdet.boxes import box_iou
from streamdet.data.dataset import read_dataset
from streamdet.data.images import read_image
from streamdet.detect.detector import Detector
from streamdet.models.weights import load_model
from streamdet.types import Float32Array, UInt8Array

PERSON, BICYCLE, CAR = 0, 1, 2
SIDE_PX = 100


class Says:
    """A teacher that finds the same objects in every image: rows of xyxy, score, class."""

    def __init__(self, *rows: tuple[float, ...]) -> None:
        self._rows = np.array(rows, np.float32).reshape(-1, 6)

    def __call__(self, image: UInt8Array) -> Float32Array:
        return self._rows


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One set of one image, in which people labelled a person, and one to validate with."""
    for split in ("TRAIN_SOURCES", "VAL_SOURCES"):
        monkeypatch.setattr(completing, split, (Source("people/images", ("person",)),))
    monkeypatch.setattr(completing, "CROWDS", "people/crowds.csv")
    for kind in ("images", "labels"):
        (tmp_path / "sets" / "people" / kind).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "sets" / "people" / "images" / "a.jpg"), np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8))
    (tmp_path / "sets" / "people" / "labels" / "a.txt").write_text("0 0.2 0.5 0.2 0.6\n")
    return tmp_path / "sets"


def completed(sets: Path, *found: tuple[float, ...]) -> tuple[list[list[float]], tuple[str, ...]]:
    """Return the label rows of the image after `found`, and the classes it is then labelled for."""
    out = sets.parent / "out"
    data = read_dataset(complete(sets, Says(*found), out))
    (image,) = data.train
    known = tuple(name for name, is_known in zip(data.class_names, image.labelled, strict=True) if is_known)
    rows = [[float(word) for word in line.split()] for line in image.label.read_text().splitlines()]
    return rows, known


ALL = ("person", "bicycle", "car", "motorcycle", "bus", "truck")


def test_what_the_teacher_is_sure_of_becomes_a_label(sets: Path) -> None:
    rows, known = completed(sets, (50, 40, 90, 80, SURE, CAR))
    assert rows == [[0, 0.2, 0.5, 0.2, 0.6], [2, 0.7, 0.6, 0.4, 0.4]]
    assert known == ALL


def test_a_class_the_teacher_doubts_is_not_known(sets: Path) -> None:
    rows, known = completed(sets, (50, 40, 90, 80, UNSURE, CAR), (0, 0, 9, 9, 0.9, BICYCLE))
    assert [row[0] for row in rows] == [PERSON, BICYCLE]
    assert known == tuple(name for name in ALL if name != "car")


def test_people_are_believed_before_the_teacher(sets: Path) -> None:
    # A person whom nobody labelled, in a set labelled for persons; and a car where a person was labelled.
    rows, known = completed(sets, (50, 40, 90, 80, 0.9, PERSON), (10, 20, 30, 80, 0.9, CAR))
    assert rows == [[0, 0.2, 0.5, 0.2, 0.6]]
    assert known == ALL


def test_the_validation_images_keep_the_labels_of_people(sets: Path) -> None:
    complete(sets, Says((50, 40, 90, 80, 0.9, CAR)), sets.parent / "out")
    stated = yaml.safe_load((sets.parent / "out" / "data.yaml").read_text())
    (entry,) = stated["val"]
    assert Path(entry) == sets / "people" / "images"
    assert stated["labelled"][entry] == ["person"]


def test_a_class_is_not_known_in_an_image_that_shows_a_crowd_of_it(sets: Path) -> None:
    (sets / "people" / "crowds.csv").write_text("label_file,class,x,y,w,h\nlabels/a.txt,0,0.5,0.5,0.2,0.2\n")
    rows, known = completed(sets)
    assert rows == [[0, 0.2, 0.5, 0.2, 0.6]]
    assert known == ALL[1:]


def test_an_image_occurs_as_often_as_its_source_says(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "TRAIN_SOURCES", (Source("people/images", ("person",), repeats=3),))
    data = read_dataset(complete(sets, Says(), sets.parent / "out"))
    assert [image.image.name for image in data.train] == ["a.jpg"] * 3


def test_large_images_are_written_at_the_largest_size_of_a_training(sets: Path) -> None:
    cv2.imwrite(str(sets / "people" / "images" / "a.jpg"), np.zeros((500, 1000, 3), np.uint8))
    (image,) = read_dataset(complete(sets, Says(), sets.parent / "out")).train
    pixels = read_image(image.image)
    assert pixels is not None
    assert pixels.shape == (208, 416, 3)
    assert image.label.read_text().split() == ["0", "0.200000", "0.500000", "0.200000", "0.600000"]


def test_packed_weights_detect_as_the_ones_they_were_made_of(tiny_weights: Path, tmp_path: Path) -> None:
    packed = tmp_path / "package" / "packed.safetensors"
    pack(tiny_weights, packed)
    assert packed.stat().st_size < 0.6 * tiny_weights.stat().st_size
    whole, half = (load_model(path).module for path in (tiny_weights, packed))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(half(image), whole(image), rtol=2e-2, atol=2e-2)


@pytest.mark.integration
def test_the_teacher_agrees_with_another_network_about_a_street(data: Path) -> None:
    picture = sorted((data / "oracles" / "yolov8n").glob("*.png"))[0]
    image = np.asarray(cv2.imread(str(picture), cv2.IMREAD_COLOR_RGB), np.uint8)
    found = Teacher(data / "weights" / "yolox_nano.onnx", SURE)(image)
    other = Detector(data / "weights" / "yolov8n.pt", device="cpu", backend="torch", conf=0.25)(image)
    assert len(found)
    overlaps = box_iou(found[:, :4], other.boxes)
    assert (overlaps.max(1) > 0.5).all()
