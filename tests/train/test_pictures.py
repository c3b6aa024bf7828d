"""Mosaics show what the network gets and what it finds, at the right place."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamdet.cli import train_record
from streamdet.cli.train_record import save_training_mosaic, save_validation_mosaics
from streamdet.data.dataset import Dataset, LabelledImage, read_dataset
from streamdet.data.images import read_image
from streamdet.data.labels import format_label
from streamdet.draw import id_color
from streamdet.plots import BATCH_IMAGES
from streamdet.train.examples import Order, load
from streamdet.types import Detections, UInt8Array
from tests.data.pictures import write_image, write_labels

from .rectangles import CLASS_NAMES, COLOURS, painted, seen, write_data_set
from .small_training import SETTINGS, STILL

SIZE_PX = 192  # names of classes leave something of the objects to be seen
GREY = 114
SHOWN_AS_IS = SETTINGS.model_copy(update=STILL | {"imgsz": SIZE_PX})


def read(path: Path) -> UInt8Array:
    image = read_image(path)
    assert image is not None
    return image


def tiles(png: Path, count: int) -> list[UInt8Array]:
    """The images of a mosaic, row by row."""
    image = read(png)
    assert image.shape[0] % SIZE_PX == image.shape[1] % SIZE_PX == 0
    rows = [
        row
        for band in np.split(image, image.shape[0] // SIZE_PX)
        for row in np.split(band, image.shape[1] // SIZE_PX, 1)
    ]
    return rows[:count]


def test_the_first_examples_of_the_training_are_shown_in_their_order(tmp_path: Path) -> None:
    data = write_data_set(tmp_path, 12, SIZE_PX)
    save_training_mosaic(data, SHOWN_AS_IS, tmp_path / "train.png")
    draws = [draw for batch in Order(12, SETTINGS.batch, SETTINGS.seed, 0) for draw in batch]
    for tile, draw in zip(tiles(tmp_path / "train.png", 12), draws, strict=True):
        class_id = draw.image % len(CLASS_NAMES)
        expected = seen(read(data.train[draw.image].image), class_id)
        assert expected is not None
        _, _, right, bottom = expected.astype(int)
        # Within the box stands the object, round it its frame.
        assert tile[bottom - 5, right - 5].tolist() == COLOURS[class_id].tolist()
        np.testing.assert_allclose(tile[bottom - 5, right], id_color(class_id), atol=40)


def test_augmented_examples_are_shown_as_the_network_gets_them(tmp_path: Path) -> None:
    data = write_data_set(tmp_path, 12, SIZE_PX)
    grey = []
    for translate in (0.0, 0.3):
        save_training_mosaic(data, SHOWN_AS_IS.model_copy(update={"translate": translate}), tmp_path / "train.png")
        grey.append((np.stack(tiles(tmp_path / "train.png", 12)) == GREY).all(3).mean())
    assert grey[0] == 0
    assert grey[1] > 0.05


class Scripted:
    """A detector that finds the same red object in every image."""

    def __init__(self, weights: Path, *, size: int, **_: object) -> None:
        assert (weights.name, size) == ("best.safetensors", SIZE_PX)

    def __call__(self, image: UInt8Array) -> Detections:
        assert image.shape == (SIZE_PX, SIZE_PX, 3)
        return Detections(np.array([[30, 20, 120, 80]]), np.ones(1), np.zeros(1))


def test_validation_is_shown_with_its_labels_and_with_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = painted((SIZE_PX, 2 * SIZE_PX), [(80, 60, 260, 170)], first=1)
    cv2.imwrite(str(tmp_path / "wide.png"), wide.image[:, :, ::-1])
    (tmp_path / "wide.txt").write_text(format_label(1, wide.boxes[0], wide.hw))
    image = LabelledImage(tmp_path / "wide.png", tmp_path / "wide.txt", (True, True))
    monkeypatch.setattr(train_record, "Detector", Scripted)
    pngs = tmp_path / "labels.png", tmp_path / "found.png"
    data = Dataset(tmp_path, CLASS_NAMES, (image,), (image,))
    save_validation_mosaics(tmp_path / "best.safetensors", data, SHOWN_AS_IS, *pngs)
    (labels,), (found,) = (tiles(png, 1) for png in pngs)
    for tile in (labels, found):
        assert tile[60, 100].tolist() == COLOURS[1].tolist()
        assert (tile[SIZE_PX // 2 :] == GREY).all()
    # The label is (40, 30, 130, 85) in the image that was resized to half.
    np.testing.assert_allclose(labels[60, 130], id_color(1), atol=40)
    np.testing.assert_allclose(found[60, 30], id_color(0), atol=40)
    assert found[60, 130].tolist() == labels[60, 30].tolist() == [0, 0, 0]


def test_of_many_images_those_shown_are_spread_over_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data_set(tmp_path, 34, SIZE_PX, val=33)
    loaded: list[LabelledImage] = []

    def noted(image: LabelledImage) -> object:
        loaded.append(image)
        return load(image)

    monkeypatch.setattr(train_record, "Detector", Scripted)
    monkeypatch.setattr(train_record, "load", noted)
    save_validation_mosaics(tmp_path / "best.safetensors", data, SHOWN_AS_IS, tmp_path / "a.png", tmp_path / "b.png")
    assert (loaded[0], loaded[-1]) == (data.val[0], data.val[-1])
    assert len(set(loaded)) == BATCH_IMAGES


# A triangle, a hidden key point, one that is not labelled, a diamond: what has the colour of the class, and what stays.
SHAPED = {
    "segment": ("0 0.25 0.25 0.75 0.25 0.25 0.75", [(70, 80), (80, 100)], [(130, 130), (100, 160)]),
    "pose": ("0 0.5 0.5 0.5 0.5 0.6 0.7 1 0.3 0.6 0", [(115, 134), (144, 100)], [(58, 115), (100, 100)]),
    "obb": ("0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5", [(120, 72), (72, 120)], [(48, 48), (144, 144), (96, 96)]),
}


@pytest.mark.parametrize("task", SHAPED)
def test_labels_of_a_task_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    line, coloured, plain = SHAPED[task]
    write_image(tmp_path / "images" / "a.png", np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8))
    write_labels(tmp_path / "labels" / "a.txt", line)
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [thing]\nkpt_shape: [2, 3]\n")
    data = read_dataset(tmp_path / "data.yaml", task)
    save_training_mosaic(data, SHOWN_AS_IS, tmp_path / "train.png")
    monkeypatch.setattr(train_record, "Detector", Scripted)
    pngs = tmp_path / "labels.png", tmp_path / "found.png"
    save_validation_mosaics(tmp_path / "best.safetensors", data, SHOWN_AS_IS, *pngs)
    for png in (tmp_path / "train.png", tmp_path / "labels.png"):
        (tile,) = tiles(png, 1)
        for x, y in coloured:
            assert tile[y, x].max() > 80, (x, y)
            assert tile[y, x].argmax() == np.argmax(id_color(0))
        for x, y in plain:
            assert tile[y, x].tolist() == [0, 0, 0], (x, y)


def test_a_class_of_whole_images_is_named_in_the_part_that_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200, 2] = 200  # the square in the middle
    for split in ("train", "val"):
        for name in ("blue", "red"):
            write_image(tmp_path / split / name / "a.png", wide)
    data = read_dataset(tmp_path, "classify")
    monkeypatch.setattr(train_record, "Detector", Classified)
    pngs = tmp_path / "labels.png", tmp_path / "found.png"
    save_validation_mosaics(tmp_path / "best.safetensors", data, SHOWN_AS_IS, *pngs)
    save_training_mosaic(data, SHOWN_AS_IS, tmp_path / "train.png")
    for png in pngs:
        blue, red = tiles(png, 2)
        assert (blue[60:] == (0, 0, 200)).all()
        for tile, class_id in ((blue, 0), (red, 1)):
            assert (tile[:50] == id_color(class_id if png == pngs[0] else 1)).all(2).sum() > 500
    train = tiles(tmp_path / "train.png", 2)
    assert sorted(int(np.argmax([(tile == id_color(c)).all(2).sum() for c in (0, 1)])) for tile in train) == [0, 1]


class Classified(Scripted):
    """A classifier for which every image is red."""

    def __call__(self, image: UInt8Array) -> Detections:
        assert image.shape == (SIZE_PX, SIZE_PX, 3)
        return Detections(np.zeros((0, 4)), [], [], ["blue", "red"], probabilities=[0.1, 0.9])
