"""Labels of the tasks beyond boxes: polygons, key points, rotated corners, class folders."""

from pathlib import Path

import numpy as np
import pytest

from streamdet.data.check import check
from streamdet.data.dataset import read_dataset
from streamdet.data.labels import LabelFormat, read_labels
from streamdet.data.shapes import Corners, KeyPoints
from streamdet.errors import InputError
from tests.data.pictures import noise, write_image, write_set

POSE = LabelFormat("pose", (2, 3))
TRIANGLE = "0 0.1 0.5 0.4 0.2 0.3 0.9"
CORNERS = "0 0.2 0.3 0.6 0.3 0.6 0.5 0.2 0.5"


def written(folder: Path, text: str) -> Path:
    path = folder / "a.txt"
    path.write_text(text)
    return path


def test_a_polygon_is_kept_with_the_box_around_it(tmp_path: Path) -> None:
    objects, faults = read_labels(written(tmp_path, f"{TRIANGLE}\n1 0 0 1 0 1 1 0 1"), 2, LabelFormat("segment"))
    assert (faults, objects.class_ids.tolist(), objects.lines.tolist()) == ([], [0, 1], [1, 2])
    assert objects.shapes is not None
    triangle, square = objects.shapes
    np.testing.assert_allclose(triangle, [(0.1, 0.5), (0.4, 0.2), (0.3, 0.9)], atol=1e-6)
    np.testing.assert_allclose(square, [(0, 0), (1, 0), (1, 1), (0, 1)])
    np.testing.assert_allclose(objects.boxes, [(0.1, 0.2, 0.4, 0.9), (0, 0, 1, 1)], atol=1e-6)


def test_a_polygon_ends_where_the_image_ends(tmp_path: Path) -> None:
    objects, faults = read_labels(written(tmp_path, "0 0.5 0.5 1.5 0.5 0.5 0.7"), 1, LabelFormat("segment"))
    assert [fault.kind for fault in faults] == ["out of range"]
    assert objects.shapes is not None
    # The slanted side meets x = 1 at half of its way.
    (ring,) = objects.shapes
    np.testing.assert_allclose(sorted(ring.tolist()), [(0.5, 0.5), (0.5, 0.7), (1.0, 0.5), (1.0, 0.6)], atol=1e-6)


def test_key_points_are_kept_and_those_outside_are_not_labelled(tmp_path: Path) -> None:
    lines = ("0 0.5 0.5 0.2 0.4 0.1 0.9 2 0.3 0.8 1", "0 0.5 0.5 0.4 0.4 0 0 2 1.2 0.8 1", "0 0.5 0.5 0.6 0.4")
    objects, faults = read_labels(written(tmp_path, "\n".join(lines)), 1, POSE)
    assert [(fault.kind, fault.line) for fault in faults] == [("out of range", 2)]
    assert isinstance(objects.shapes, KeyPoints)
    first, second, box_alone = objects.shapes
    np.testing.assert_allclose(first, [(0.1, 0.9, 2), (0.3, 0.8, 1)], atol=1e-6)
    assert second[:, 2].tolist() == [0, 0]
    assert box_alone.tolist() == [[0, 0, 0]] * 2
    np.testing.assert_allclose(objects.boxes[0], (0.4, 0.3, 0.6, 0.7), atol=1e-6)


def test_key_points_of_two_numbers_are_visible_but_for_the_origin(tmp_path: Path) -> None:
    objects, _ = read_labels(written(tmp_path, "0 0.5 0.5 0.2 0.4 0.1 0.9 0 0"), 1, LabelFormat("pose", (2, 2)))
    assert objects.shapes is not None
    np.testing.assert_allclose(objects.shapes.points, [(0.1, 0.9, 2), (0, 0, 0)], atol=1e-6)


def test_corners_give_a_rotated_box(tmp_path: Path) -> None:
    # Of 100 px: sides of 40 and 20 px, turned by 30 degrees from the x axis towards y.
    turn = np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])
    corners = np.array([(-0.2, -0.1), (0.2, -0.1), (0.2, 0.1), (-0.2, 0.1)]) @ turn.T + 0.5
    text = " ".join(map("{:.6f}".format, corners.ravel()))
    objects, faults = read_labels(written(tmp_path, f"0 {text}\n0 {text} 0.9"), 1, LabelFormat("obb"))
    assert [fault.kind for fault in faults] == ["duplicate", "score ignored"]
    assert isinstance(objects.shapes, Corners)
    cx, cy, width, height, angle = objects.shapes.rotated()[0]
    if width < height:
        width, height, angle = height, width, angle - np.pi / 2
    np.testing.assert_allclose((cx, cy, width, height, angle % np.pi), (0.5, 0.5, 0.4, 0.2, np.pi / 6), atol=1e-4)
    np.testing.assert_allclose(objects.boxes[0], (*corners.min(0), *corners.max(0)), atol=1e-5)


def test_rotated_boxes_may_cross_the_edge_of_the_image_with_all_but_their_centre(tmp_path: Path) -> None:
    # Squares that stand on a corner: the first two cross the left edge and the upper one.
    squares = [(0.05, 0.5), (0.5, 0.02), (-0.03, 0.5), (0.5, 1.03)]
    lines = [f"0 {x} {y - 0.2} {x + 0.2} {y} {x} {y + 0.2} {x - 0.2} {y}" for x, y in squares]
    objects, faults = read_labels(written(tmp_path, "\n".join(lines)), 1, LabelFormat("obb"))
    assert [(fault.kind, fault.line) for fault in faults] == [("out of range", 3), ("out of range", 4)]
    assert isinstance(objects.shapes, Corners)
    np.testing.assert_allclose(objects.shapes.rotated()[:, :2], squares, atol=1e-6)


@pytest.mark.parametrize(
    ("form", "line", "kind"),
    [
        (LabelFormat("segment"), "0 0.1 0.5 0.4 0.2", "not a polygon"),
        (LabelFormat("segment"), "0 0.5 0.5 0.2 0.2 0.9", "not a polygon"),
        (LabelFormat("segment"), "0 0.1 0.5 0.4 0.5 0.3 0.5", "not a polygon"),
        (LabelFormat("segment"), "0 1.1 0.5 1.4 0.2 1.3 0.9", "not a polygon"),
        (LabelFormat("segment"), "0 0.1 0.5 0.4 0.2 0.3 1e999", "not a polygon"),
        (POSE, "0 0.5 0.5 0.2 0.4 0.1 0.9 2", "not a pose"),
        (POSE, "0 0.5 0.5 0.2 0.4 0.1 0.9 0.3 0.8", "not a pose"),
        (POSE, "0 0.5 0.5 0 0.4 0.1 0.9 2 0.3 0.8 1", "not a pose"),
        (LabelFormat("obb"), "0 0.5 0.5 0.2 0.4", "not four corners"),
        (LabelFormat("obb"), "0 0.1 0.1 0.2 0.1 0.2 0.2", "not four corners"),
        (LabelFormat("obb"), f"{CORNERS} 0.4 0.4", "not four corners"),
    ],
)
def test_a_line_in_another_format_is_left_out(tmp_path: Path, form: LabelFormat, line: str, kind: str) -> None:
    objects, faults = read_labels(written(tmp_path, f"\n{line}"), 1, form)
    assert [(fault.kind, fault.line, fault.found) for fault in faults] == [(kind, 2, line)]
    assert len(objects.boxes) == 0
    assert objects.shapes is not None
    assert len(objects.shapes) == 0
    assert objects.shapes.boxes(objects.boxes).shape == (0, 4)


def test_a_check_names_the_lines_whose_corners_are_no_rectangle(tmp_path: Path) -> None:
    trapezium, crossed = "0 0.2 0.3 0.6 0.3 0.5 0.5 0.3 0.5", "0 0.2 0.3 0.6 0.5 0.6 0.3 0.2 0.5"
    write_set(tmp_path, {"train/a.png": f"{CORNERS}\n{trapezium}\n{crossed}\n"})
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [car]")
    found = list(check(read_dataset(tmp_path / "data.yaml", "obb")).findings("train"))
    assert [each.kind for each in found] == ["not a rectangle"] * 2
    assert [each.detail[:6] for each in found] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected kpt_shape such as \[17, 3\], which the key points of poses need, found none"),
        (
            "kpt_shape: [3, 3]\nflip_idx: [0, 1]",
            r"expected flip_idx to exchange key points 0 to 2 in pairs, found \[0, 1\]",
        ),
        ("kpt_shape: [3, 3]\nflip_idx: [1, 2, 0]", "in pairs"),
        ("kpt_shape: [3, 3]\nflip_idx: [0, 0, 2]", "in pairs"),
        ("kpt_shape: [3, 3]\nflip_idx: [0, 1, 3]", "in pairs"),
        ("kpt_shape: [3, 3]\nflip_idx: [0, 1, -1]", "in pairs"),
        ("kpt_shape: [3, 3]\nflip_idx: left", "flip_idx: "),
    ],
)
def test_key_points_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    write_set(tmp_path, {"train/a.png": ""})
    (tmp_path / "data.yaml").write_text(f"train: images/train\nnames: [person]\n{text}")
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path / "data.yaml", "pose")


def test_real_labels_of_each_kind_are_read(data: Path) -> None:
    segments = sorted((data / "coco128" / "segments").rglob("*.txt"))
    read = [read_labels(path, 80, LabelFormat("segment")) for path in segments]
    kinds = {fault.kind for _, faults in read for fault in faults}
    assert kinds <= {"duplicate"}
    assert sum(len(objects.class_ids) for objects, _ in read) > 600
    poses = sorted((data / "pose" / "labels").glob("*.txt"))
    for objects, faults in (read_labels(path, 1, LabelFormat("pose", (17, 3))) for path in poses):
        assert faults == []
        assert objects.shapes is not None
        assert objects.shapes.counts.tolist() == [17] * len(objects.class_ids)


# Folders of classes.


def test_folders_name_the_classes_of_images(tmp_path: Path) -> None:
    for index, name in enumerate(("train/dog/a.png", "train/cat/b.png", "train/cat/c.png", "val/dog/d.png")):
        write_image(tmp_path / name, noise(index))
    data = read_dataset(tmp_path, "classify")
    assert data.class_names == ("cat", "dog")
    assert [image.image.name for image in data.train] == ["b.png", "c.png", "a.png"]
    report = check(data)
    assert (report.objects_by_class("train").tolist(), report.objects_by_class("val").tolist()) == ([2, 1], [0, 1])
    assert [*report.findings("train"), *report.findings("val")] == []


@pytest.mark.parametrize(
    ("names", "folder", "message"),
    [
        ([], None, r"expected a folder with train/CLASS/IMAGE, which classification needs, found none"),
        ([], "train", "expected images to train with, found none in "),
        (["train/cat/a.png"], "train/dog", "train/dog: expected images of the class, found none"),
        (
            ["train/cat/a.png", "val/cats/b.png"],
            None,
            "val/cats: expected a class that train has a folder for; did you",
        ),
    ],
)
def test_folders_that_name_no_classes_are_refused(
    tmp_path: Path, names: list[str], folder: str | None, message: str
) -> None:
    for index, name in enumerate(names):
        write_image(tmp_path / name, noise(index))
    if folder:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path, "classify")
