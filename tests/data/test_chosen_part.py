"""Parts of a data set: some of the images, some of the classes, all classes as one."""

from pathlib import Path

import numpy as np
import pytest

from streamdet.data.check import check
from streamdet.data.dataset import Dataset, chosen_part, read_dataset
from streamdet.errors import InputError

from .pictures import noise, write_image, write_set

LINES = "0 0.2 0.2 0.2 0.2\n2 0.5 0.5 0.4 0.4\n1 0.8 0.8 0.2 0.2\n2 0.3 0.7 0.2 0.2\n"


def written(folder: Path, count: int = 10, extra: str = "") -> Dataset:
    names = {f"train/{index:02}.png": LINES for index in range(count)} | {"val/a.png": LINES}
    write_set(folder, dict(names))
    text = f"train: images/train\nval: images/val\nnames: [cat, dog, cow]\n{extra}"
    (folder / "data.yaml").write_text(text)
    return read_dataset(folder / "data.yaml")


def labels(data: Dataset) -> list[int]:
    objects, faults = data.train[0].read_labels()
    assert faults == []
    return list(objects.class_ids)


def test_all_of_it_is_the_data_set(tmp_path: Path) -> None:
    data = written(tmp_path)
    assert chosen_part(data) == data
    assert chosen_part(data, classes=["cow", 0, 1]) == data


@pytest.mark.parametrize(
    ("fraction", "places"), [(0.3, [0, 4, 9]), (0.2, [0, 9]), (0.001, [0]), (0.999, range(10)), (1, range(10))]
)
def test_a_fraction_is_spread_over_the_training_images(tmp_path: Path, fraction: float, places: list[int]) -> None:
    data = written(tmp_path)
    part = chosen_part(data, fraction=fraction)
    assert [int(image.image.stem) for image in part.train] == list(places)
    assert part.val == data.val


@pytest.mark.parametrize("classes", [["cat", "cow"], [0, 2], ["0", "cow"], [2, 2, "cat"]])
def test_objects_of_other_classes_are_background(tmp_path: Path, classes: list[int | str]) -> None:
    part = chosen_part(written(tmp_path), classes=classes)
    assert part.class_names == ("cat", "dog", "cow")
    for images in (part.train, part.val):
        objects, _ = images[0].read_labels()
        assert objects.class_ids.tolist() == [0, 2, 2]
        assert objects.lines.tolist() == [1, 2, 4]
        np.testing.assert_allclose(objects.boxes[2], [0.2, 0.6, 0.4, 0.8], atol=1e-6)
        assert images[0].labelled == (True,) * 3
    assert check(part).objects_by_class("train").tolist() == [10, 0, 20]


def test_a_polygon_goes_with_its_object(tmp_path: Path) -> None:
    write_set(tmp_path, {"a.png": "0 0.1 0.1 0.5 0.1 0.5 0.4\n1 0.2 0.2 0.9 0.2 0.9 0.9\n"})
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]")
    (image,) = chosen_part(read_dataset(tmp_path / "data.yaml", "segment"), classes=["dog"]).train
    objects, _ = image.read_labels()
    assert objects.shapes is not None
    np.testing.assert_allclose(objects.shapes.points, [(0.2, 0.2), (0.9, 0.2), (0.9, 0.9)], atol=1e-6)


def test_one_class_is_made_of_all(tmp_path: Path) -> None:
    part = chosen_part(written(tmp_path), single_cls=True)
    assert (part.class_names, labels(part)) == (("item",), [0, 0, 0, 0])
    assert part.train[0].labelled == (True,)


def test_one_class_is_made_of_those_that_are_chosen(tmp_path: Path) -> None:
    data = written(tmp_path)
    part = chosen_part(data, classes=["dog", "cow"], single_cls=True)
    assert (part.class_names, labels(part)) == (("item",), [0, 0, 0])
    cow = chosen_part(data, classes=["cow"], single_cls=True)
    assert (cow.class_names, labels(cow)) == (("cow",), [0, 0])


def test_a_class_that_no_line_may_have_stays_a_fault(tmp_path: Path) -> None:
    write_set(tmp_path, {"a.png": "0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.4 0.4\n"})
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]")
    (image,) = chosen_part(read_dataset(tmp_path / "data.yaml"), single_cls=True).train
    objects, faults = image.read_labels()
    assert objects.class_ids.tolist() == [0]
    assert [fault.kind for fault in faults] == ["unknown class"]


def test_an_image_is_labelled_for_the_one_class_if_it_is_for_all_that_are_chosen(tmp_path: Path) -> None:
    data = written(tmp_path, extra="labelled: {images/train: [cat, dog]}\n")
    assert chosen_part(data, single_cls=True).train[0].labelled == (False,)
    assert chosen_part(data, classes=["cat", "dog"], single_cls=True).train[0].labelled == (True,)
    assert chosen_part(data, classes=["cat"]).train[0].labelled == (True, True, False)


def test_whole_images_of_other_classes_are_left_out(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for index, name in enumerate(("cat", "cow", "dog")):
            write_image(tmp_path / split / name / "a.png", noise(index))
    data = read_dataset(tmp_path, "classify")
    part = chosen_part(data, classes=["cow", "dog"])
    assert [image.label.name for image in (*part.train, *part.val)] == ["cow", "dog"] * 2
    assert [image.read_labels()[0].class_ids.tolist() for image in part.train] == [[1], [2]]
    with pytest.raises(InputError, match="single_cls: expected false for whole images"):
        chosen_part(data, single_cls=True)


@pytest.mark.parametrize("name", ["cat s", 3, "-1"])
def test_a_class_that_is_none_is_refused(tmp_path: Path, name: int | str) -> None:
    with pytest.raises(InputError, match=r"data.yaml: classes names the class .*; (known|did you mean)"):
        chosen_part(written(tmp_path), classes=[name])
