"""What is drawn for each task: soft masks, skeletons, rotated boxes, the class of the image."""

from itertools import pairwise

import numpy as np
import pytest

from streamdet.draw import LIMBS, Style, draw_detections, draw_tracks, id_color
from streamdet.masks import Masks
from streamdet.rows import ImageClass
from streamdet.trails import Trails
from streamdet.types import Detections, Tracks, UInt8Array

HW = (240, 320)
BOX = [80.0, 60, 240, 220]
COLOR = np.array(id_color(1), float)


def grey() -> UInt8Array:
    return np.full((*HW, 3), 128, np.uint8)


def track(*, index: int = 0, keypoints: list[list[float]] | None = None, rotated: list[float] | None = None) -> Tracks:
    return Tracks(
        [1],
        [BOX],
        [0.9],
        [0],
        [index],
        ["person"],
        keypoints and np.array([keypoints]),
        rotated and np.array([rotated]),
    )


def drawn(tracks: Tracks, masks: Masks | None = None, image_class: ImageClass | None = None) -> UInt8Array:
    return draw_tracks(grey(), tracks, ["person"], None, masks, image_class)


def half_masks() -> Masks:
    """Return masks of 8 px cells: of nothing, and of what lies left of x = 160."""
    values = np.zeros((2, 30, 40), np.uint8)
    values[1, :, :20] = 255
    return Masks(values, [BOX, BOX], [0, 0, 320, 240], HW)


def test_a_mask_tints_its_object_within_the_box_with_a_soft_edge() -> None:
    without, with_mask = drawn(track()), drawn(track(index=1), half_masks())
    changed = (without != with_mask).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 60 and rows.max() < 220 and columns.min() >= 80 and columns.max() < 165
    np.testing.assert_allclose(with_mask[140, 100], (128 + COLOR) / 2, atol=2)
    across = np.abs(with_mask[140, 150:170].astype(float) - 128).max(axis=1)
    assert (np.diff(across) <= 0).all()
    assert len(set(across.tolist())) >= 4
    assert across[0] > 50 and across[-1] == 0


def test_a_mask_is_that_of_the_detection_and_a_hidden_object_has_none() -> None:
    for index in (0, -1):
        tracks = track(index=index)
        assert (drawn(tracks, half_masks()) == drawn(tracks)).all()


def test_an_object_without_a_pixel_in_the_image_is_drawn() -> None:
    outside = Masks(np.full((1, 30, 40), 255, np.uint8), [[400, 20, 500, 90]], [0, 0, 320, 240], HW)
    assert (drawn(track(), outside) == drawn(track())).all()


def coco(visibility: float = 0.9) -> list[list[float]]:
    """Return 17 points on a circle, so that no limb passes by a third point."""
    angles = 2 * np.pi * np.arange(17) / 17
    return [[160 + 72 * np.cos(angle), 142 + 72 * np.sin(angle), visibility] for angle in angles.tolist()]


def painted_along(image: UInt8Array, points: list[list[float]], a: int, b: int) -> float:
    """Return the share of the way between two points that has the colour of the id."""
    ways = [np.array(points[a])[:2] * (1 - t) + np.array(points[b])[:2] * t for t in np.linspace(0.15, 0.85, 60)]
    return float(np.mean([(np.abs(image[round(y), round(x)] - COLOR).max() < 60) for x, y in ways]))


def test_the_limbs_of_coco_join_its_points() -> None:
    """The table joins all 17 points, without a cycle but face and trunk, left as right."""
    assert {point for limb in LIMBS for point in limb} == set(range(17))
    mirror = [0, *(k + 1 if k % 2 else k - 1 for k in range(1, 17))]
    assert {frozenset(limb) for limb in LIMBS} == {frozenset(mirror[k] for k in limb) for limb in LIMBS}
    points = coco()
    image = drawn(track(keypoints=points))
    for a, b in LIMBS:
        assert painted_along(image, points, a, b) > 0.7


def test_a_point_that_is_hardly_visible_is_left_out_with_its_limbs() -> None:
    points = coco()
    points[13][2] = 0.49
    image, whole = drawn(track(keypoints=points)), drawn(track(keypoints=coco()))
    x, y = (round(n) for n in points[13][:2])
    assert (whole[y, x] != 128).any()
    assert (image[y, x] == drawn(track())[y, x]).all()
    for a, b in ((11, 13), (13, 15)):
        way = np.linspace(points[a][:2], points[b][:2], 40)[5:-5].round().astype(int)
        assert (whole[way[:, 1], way[:, 0]] != image[way[:, 1], way[:, 0]]).any(axis=1).mean() > 0.25
    for a, b in ((12, 14), (14, 16), (0, 1)):
        assert painted_along(image, points, a, b) > 0.7
    assert (drawn(track(keypoints=coco(0.2))) == drawn(track())).all()


def test_other_points_than_those_of_coco_are_points() -> None:
    points = coco()[:5]
    image = drawn(track(keypoints=points))
    for a, b in pairwise(range(5)):
        assert painted_along(image, points, a, b) < 0.3
    assert all((image[round(y), round(x)] != 128).any() for x, y, _ in points)


def test_the_skeleton_of_a_predicted_track_is_dashed() -> None:
    points = coco()
    image = drawn(track(keypoints=points, index=-1))
    assert 0.2 < painted_along(image, points, 15, 13) < 0.85


@pytest.mark.parametrize("angle", [0.0, 0.6, -1.2, 2.5])
def test_a_rotated_box_is_drawn_in_place_of_the_upright_one(angle: float) -> None:
    image = drawn(track(rotated=[160, 140, 100, 40, angle]))
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    for a, b in ((0, 20), (0, -20), (50, 0), (-50, 0)):
        x, y = np.array([160, 140]) + a * along + b * across
        assert np.abs(image[round(y), round(x)] - COLOR).max() < 80
    assert (image[140, 160] == 128).all()
    assert (image[140, 80] == 128).all()
    assert (image[220, 120:200] == 128).all()


@pytest.mark.parametrize("angle", [-0.03, 0.03, np.pi / 4, np.pi - 0.03])
def test_the_label_of_a_rotated_box_begins_where_it_does_and_stays_there_as_it_turns(angle: float) -> None:
    image = drawn(track(rotated=[160, 140, 100, 100, angle]))
    half = 50 * (abs(np.cos(angle)) + abs(np.sin(angle)))
    plate = (image == COLOR.astype(np.uint8)).all(axis=2)[: round(140 - half) - 2]
    rows, columns = np.nonzero(plate)
    assert abs(columns.min() - (160 - half)) <= 2
    assert abs(rows.max() - (140 - half)) <= 4


def test_a_predicted_rotated_box_is_dashed() -> None:
    box = [160.0, 140, 100, 60, 0.0]
    lower_edge = (drawn(track(rotated=box, index=index))[170, 115:205] for index in (0, -1))
    solid, dashed = ((np.abs(pixels - COLOR) < 60).all(axis=1) for pixels in lower_edge)
    assert solid.all()
    assert 0.3 < dashed.mean() < 0.7


def test_the_class_of_the_image_stands_in_its_corner_in_a_colour_of_its_own() -> None:
    nothing = Tracks([], [], [], [], [])
    image = draw_tracks(grey(), nothing, ["a"], None, None, ImageClass(7, "harbour", 0.812))
    color = (image == id_color(7)).all(axis=2)
    rows, columns = np.nonzero(color)
    assert rows.max() < 45 and columns.max() < 200
    assert np.ptp(rows) > Style.for_image(*HW).text_px * 1.5
    assert (draw_tracks(grey(), nothing, ["a"]) == 128).all()


def test_the_trail_of_a_rotated_box_follows_its_centre() -> None:
    trails = Trails()
    trails.update(track(rotated=[160, 140, 100, 40, 0.6]), 0.0)
    assert trails.update(track(rotated=[163, 141, 100, 40, 0.6]), 0.1)[1].tolist() == [[160, 140], [163, 141]]


@pytest.mark.parametrize("shape", ["box", "mask", "key points", "rotated box"])
def test_a_detection_looks_as_a_track_of_its_colour(shape: str) -> None:
    masks = half_masks()[[1]] if shape == "mask" else None
    keypoints = coco() if shape == "key points" else None
    rotated = [160.0, 140, 100, 40, 0.6] if shape == "rotated box" else None
    tracks = track(keypoints=keypoints, rotated=rotated)
    detections = Detections([BOX], [0.9], [1], ["cat", "person"], masks, tracks.keypoints, tracks.rotated)
    found, expected = draw_detections(grey(), detections), drawn(tracks, masks)
    differs = (found != expected).any(axis=2)
    rows, _ = np.nonzero(differs)
    # The label of a track is longer: it states an id and a score.
    height = 2 * Style.for_image(*HW).text_px
    assert differs.any()
    assert np.ptp(rows) < height
    assert (found != 128).any()


def named(probabilities: list[float]) -> UInt8Array:
    names = ["cat", "dog", "bird", "cow", "bee"]
    return draw_detections(grey(), Detections(np.zeros((0, 4)), [], [], names, probabilities=probabilities))


def test_the_most_probable_class_is_named_as_over_video() -> None:
    expected = drawn(track()[[]], image_class=ImageClass(1, "dog", 0.8))
    assert (named([0.1, 0.8, 0.1, 0, 0]) == expected).all()
    assert (expected != 128).any()


def test_classes_that_are_nearly_as_probable_are_named_too() -> None:
    widths = [
        np.nonzero((named(probabilities) != 128).any(axis=(0, 2)))[0].max()
        for probabilities in ([0.5, 0.2, 0.1, 0.1, 0.1], [0.5, 0.3, 0.1, 0.1, 0], [0.2] * 5)
    ]
    assert widths[0] < widths[1] < widths[2]
    assert (named([0.2] * 5) == named([0.2, 0.2, 0.2, 0, 0])).all()  # three at most
