"""Rendered data sets: their labels, read back, are what the scenes state, and a check finds no fault in them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamdet.data.check import check
from streamdet.data.dataset import read_dataset
from streamdet.data.images import read_image
from streamdet.data.labels import LabelFormat, Objects, read_labels
from streamdet.data.shapes import Corners, KeyPoints, rasterised
from streamdet.rows import rotated_corners
from streamdet.scene.dataset import View, class_names, crops, label_lines, views
from streamdet.scene.scene import Scene, parse_scene_url
from streamdet.scene.truth import CLASS_NAMES

URL = "scene://street?seed=3&size=384x216&seconds=10&fps=1&crowd=20"
SIZE = np.array([384, 216])


@pytest.fixture(scope="module")
def view() -> View:
    return next(views(parse_scene_url(URL), 1))


def read(view: View, task: str, folder: Path) -> Objects:
    """The objects in the label file of a view."""
    path = folder / "labels.txt"
    path.write_text("\n".join(label_lines(view, task)))
    form = LabelFormat(task, (17, 3) if task == "pose" else (0, 0))
    objects, faults = read_labels(path, len(class_names(task)), form)
    assert faults == []
    return objects


def test_frames_are_spread_over_scenes_of_which_the_last_fifth_validates() -> None:
    found = [(each.name, each.split, each) for each in views(parse_scene_url(URL), 12)]
    seeds = [3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 7, 7]
    assert [int(name.split("_")[0]) for name, _, _ in found] == seeds
    assert [split for _, split, _ in found] == ["train"] * 9 + ["val"] * 3
    indices = [int(name.split("_")[1]) for name, _, _ in found]
    assert indices[:7] == [0, 9, 0, 9, 0, 4, 9]
    _, _, last = found[-1]
    image, truth = Scene(parse_scene_url(URL.replace("seed=3", "seed=7"))).render(9)
    assert (last.image == image).all()
    assert (last.truth.boxes == truth.boxes).all()


def test_a_long_data_set_has_ten_frames_of_a_scene_and_a_short_scene_all_that_it_has() -> None:
    short = parse_scene_url("scene://street?seconds=3&fps=1&crowd=1&size=64x64")
    assert [each.name for each in views(short, 20)] == [
        f"{seed}_{index:06d}" for seed in range(5) for index in range(3)
    ]
    assert len({each.name.split("_")[0] for each in views(short, 61)}) == 7


def test_boxes_are_those_of_the_truth(view: View, tmp_path: Path) -> None:
    objects, truth = read(view, "detect", tmp_path), view.truth
    assert len(objects.boxes) > 8
    assert objects.class_ids.tolist() == truth.class_ids[truth.clear].tolist()
    np.testing.assert_allclose(objects.boxes * np.tile(SIZE, 2), truth.boxes[truth.clear], atol=1e-3)


def test_polygons_enclose_the_pixels_in_which_an_object_is_seen(view: View, tmp_path: Path) -> None:
    objects, masks = read(view, "segment", tmp_path), view.truth.masks
    assert masks is not None and objects.shapes is not None
    assert len(objects.shapes) == view.truth.clear.sum()
    for ring, mask in zip(objects.shapes, masks[view.truth.clear], strict=True):
        assert (rasterised(ring * SIZE, mask.shape) == mask).all()


def test_poses_are_the_joints_of_persons_alone(view: View, tmp_path: Path) -> None:
    objects, truth = read(view, "pose", tmp_path), view.truth
    assert isinstance(objects.shapes, KeyPoints)
    assert truth.keypoints is not None
    persons = truth.clear & (truth.class_ids == 0)
    assert 3 < persons.sum() < truth.clear.sum()
    expected, found = truth.keypoints[persons], objects.shapes.by_object()
    np.testing.assert_allclose(found[:, :, :2] * SIZE, expected[:, :, :2], atol=1e-3)
    assert (found[:, :, 2] == expected[:, :, 2]).all()
    assert set(np.unique(expected[:, :, 2])) >= {1, 2}


def test_rotated_boxes_are_those_of_the_truth_also_across_the_edge(view: View, tmp_path: Path) -> None:
    objects, rotated = read(view, "obb", tmp_path), view.truth.rotated
    assert isinstance(objects.shapes, Corners)
    assert rotated is not None
    expected = rotated_corners(rotated[view.truth.clear])
    assert expected.min() < -4  # px
    assert np.unique(rotated[view.truth.clear][:, 4]).size > 1
    found = objects.shapes.points.reshape(-1, 4, 2) * SIZE
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_crops_show_objects_with_a_margin(view: View) -> None:
    found = list(crops(view))
    assert len(found) == 3
    for class_name, name, image in found:
        row = view.truth.ids.tolist().index(int(name.rsplit("_", 1)[1]))
        assert CLASS_NAMES[view.truth.class_ids[row]] == class_name
        assert view.truth.clear[row]
        x1, y1, x2, y2 = view.truth.boxes[row].astype(int)
        inner = view.image[y1:y2, x1:x2]
        down, right = y1 - max(round(y1 - 0.1 * (y2 - y1)), 0), x1 - max(round(x1 - 0.1 * (x2 - x1)), 0)
        assert (image[down : down + len(inner), right : right + inner.shape[1]] == inner).all()
        assert min(image.shape[:2]) >= 32


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb", "classify"])
def test_the_command_writes_what_a_training_takes(streamdet: Callable[..., str], tmp_path: Path, task: str) -> None:
    out = tmp_path / "street"
    streamdet("scene", URL, "--task", task, "--images", 10, "--out", out, code=0)
    data = read_dataset(out if task == "classify" else out / "data.yaml", task)
    report = check(data)
    for split in ("train", "val"):
        assert list(report.findings(split)) == []
        seeds = {int(image.image.name.split("_")[0]) for image in getattr(data, split)}
        assert seeds or task == "classify"
        assert seeds <= ({3, 4, 5, 6} if split == "train" else {7})
    assert set(data.class_names) <= set(CLASS_NAMES)
    assert data.kpt_shape == ((17, 3) if task == "pose" else None)
    assert data.train[0].form.flip_idx[:3] == ((0, 2, 1) if task == "pose" else ())
    first = min(data.train, key=lambda image: image.image.name)
    image = read_image(first.image)
    assert image is not None
    if task != "classify":
        rendered = next(views(parse_scene_url(URL), 10)).image
        assert np.abs(image.astype(int) - rendered).mean() < 2  # JPEG


def test_a_class_that_only_the_last_scene_shows_is_left_out(streamdet: Callable[..., str], tmp_path: Path) -> None:
    url = "scene://street?seed=10&size=256x144&seconds=5&fps=1&crowd=8"
    shown = [{name for name, _, _ in crops(each)} for each in views(parse_scene_url(url), 5)]
    assert (set().union(*shown[:4]), shown[4]) == ({"bus"}, {"car"})
    streamdet("scene", url, "--task", "classify", "--images", 5, "--out", tmp_path / "street", code=0)
    data = read_dataset(tmp_path / "street", "classify")
    assert (data.class_names, data.val) == (("bus",), ())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scene://street", "--out", "full"], "expected a new or empty folder for --out, but full is none"),
        (["scene://street", "--out", "full/file"], "expected a new or empty folder for --out, but full/file is none"),
        (["scene://street?crowd=0&size=64x64&seconds=1", "--images", "2", "--out", "new"], "found none"),
        (["street", "--out", "new"], "expected scene://street"),
    ],
)
def test_refusals(
    streamdet: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert message in streamdet("scene", *words, code=2)
