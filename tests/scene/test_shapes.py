"""Masks, joints and rotated boxes of a rendered frame: where figures are painted, and as they point."""

import numpy as np
import pytest

from streamdet.scene.camera import Camera
from streamdet.scene.figures import SILHOUETTE, Placement, Sprite, rasterise
from streamdet.scene.hulls import MODELS
from streamdet.scene.light import Light
from streamdet.scene.people import Person
from streamdet.scene.scene import Scene, parse_scene_url
from streamdet.scene.shapes import keypoints, rotated_box
from streamdet.scene.vehicles import Vehicle

SIZE = (320, 240)
AHEAD = Camera((0.0, 0.0, 1.2), 0.0, 0.0, 300.0, (160.0, 120.0))
ABOVE = Camera((0.0, 0.0, 30.0), 0.0, np.pi / 2, 300.0, (160.0, 120.0))
LIGHT = Light(np.ones(3), np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.0, False)
NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR, LEFT_SHOULDER, RIGHT_SHOULDER = range(7)
EVERYWHERE = np.ones(SIZE[::-1], bool)


def painted(figure: Person | Vehicle, placement: Placement, camera: Camera) -> Sprite:
    sprite = rasterise(figure.polygons(camera, LIGHT, placement), SIZE)
    assert sprite is not None
    return sprite


def at(x: float, y: float, heading: float) -> Placement:
    return Placement(np.array([x, y, 0.0]), heading, 0.4, 0.2)


def test_each_pixel_shows_one_object_and_the_shares_are_those_of_the_masks() -> None:
    scene = Scene(parse_scene_url("scene://street?seed=3&size=640x360&crowd=20"))
    truth = scene.truth(40, shapes=True)
    masks, points, rotated = truth.masks, truth.keypoints, truth.rotated
    assert masks is not None and points is not None and rotated is not None
    assert masks.shape == (len(truth), 360, 640)
    assert masks.sum(axis=0).max() == 1
    whole = np.flatnonzero(truth.visible == 1)
    assert len(whole) > 3
    for row in whole:
        rows, columns = np.nonzero(masks[row])
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == truth.boxes[row].tolist()
    assert (masks.any(axis=(1, 2)) == (truth.visible > 0)).all()
    assert (points[truth.class_ids != 0] == 0).all()
    x1, y1, x2, y2 = truth.boxes.T
    upright = np.column_stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0 * x1])
    np.testing.assert_allclose(rotated[truth.class_ids == 0], upright[truth.class_ids == 0])


def test_shapes_change_nothing_else_and_come_only_when_asked_for() -> None:
    scene = Scene(parse_scene_url("scene://street?seed=5&size=320x180&crowd=12&camera=handheld"))
    (image, plain), (same, shaped) = scene.render(9), scene.render(9, shapes=True)
    assert (image == same).all()
    assert (plain.masks, plain.keypoints, plain.rotated) == (None, None, None)
    for name in ("ids", "class_ids", "boxes", "visible"):
        assert (getattr(plain, name) == getattr(shaped, name)).all()
    shaped_alone = scene.truth(9, shapes=True)
    assert np.array_equal(shaped.masks, shaped_alone.masks)  # type: ignore[arg-type]


@pytest.mark.parametrize("manner", ["foot", "sit", "pedal", "motor"])
@pytest.mark.parametrize("heading", [0.0, np.pi / 2, np.pi, 4.0])
def test_joints_lie_in_the_silhouette_from_head_to_foot(manner: str, heading: float) -> None:
    person, placement = Person(np.random.default_rng(4), manner, cold=True, speed=1.3), at(6, 0.3, heading)
    sprite = painted(person, placement, AHEAD)
    mask = np.zeros(SIZE[::-1], bool)
    mask[sprite.rows, sprite.columns] = sprite.cover >= SILHOUETTE
    points = keypoints(person, placement, AHEAD, mask)
    columns, rows = points[:, :2].astype(int).T
    on_limbs = mask[rows, columns][LEFT_SHOULDER:]
    assert on_limbs.all()
    assert (points[LEFT_SHOULDER:, 2] == 2).all()
    eyes, shoulders, hips, ankles = (points[first : first + 2, 1].mean() for first in (1, 5, 11, 15))
    assert eyes < shoulders < hips < ankles


def test_left_and_right_and_the_far_side_of_the_head() -> None:
    person = Person(np.random.default_rng(1), "foot", cold=True)
    facing, turned_away, to_the_right = (
        keypoints(person, at(5, 0, heading), AHEAD, EVERYWHERE) for heading in (np.pi, 0.0, -np.pi / 2)
    )
    assert facing[LEFT_SHOULDER, 0] > facing[RIGHT_SHOULDER, 0]
    assert turned_away[LEFT_SHOULDER, 0] < turned_away[RIGHT_SHOULDER, 0]
    assert facing[[NOSE, LEFT_EYE, RIGHT_EYE], 2].tolist() == [2, 2, 2]
    assert turned_away[[NOSE, LEFT_EYE, RIGHT_EYE], 2].tolist() == [1, 1, 1]
    assert to_the_right[[LEFT_EAR, RIGHT_EAR], 2].tolist() == [1, 2]
    assert to_the_right[NOSE, 0] > to_the_right[[LEFT_EAR, RIGHT_EAR], 0].max()


def test_a_joint_is_hidden_by_what_stands_before_it_and_has_no_place_outside() -> None:
    person, placement = Person(np.random.default_rng(1), "foot", cold=True), at(5, 0, np.pi)
    seen = EVERYWHERE.copy()
    seen[120:] = False
    points = keypoints(person, placement, AHEAD, seen)
    assert (points[points[:, 1] >= 120, 2] == 1).all()
    assert points[LEFT_SHOULDER, 2] == 2
    close = keypoints(person, at(1.9, 0, np.pi), AHEAD, EVERYWHERE)
    assert close[15:].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert close[LEFT_SHOULDER, 2] == 2


@pytest.mark.parametrize("heading", [0.0, 0.5, np.pi / 4, np.pi / 2, 2.6, -1.0])
def test_a_vehicle_from_above_has_the_rectangle_of_its_body(heading: float) -> None:
    truck, placement = Vehicle(MODELS[8], np.random.default_rng(1)), at(1.0, -2.0, heading)
    sprite = painted(truck, placement, ABOVE)
    x, y, width, height, angle = rotated_box(truck, placement, ABOVE, sprite).tolist()
    # The picture's x axis is -y of the world, its y axis -x: a heading a becomes pi/2 - a, up to half turns.
    assert abs(np.sin(angle - (np.pi / 2 - heading))) < 1e-6
    assert abs(angle) < np.pi / 2 + 1e-6
    # At 10 px per metre on the ground: 7.2 m by 2.4 m, larger at the height of the roof.
    assert 72 - 2 < width < 72 * 30 / 26.8 + 3
    assert 24 - 2 < height < 24 * 30 / 26.8 + 8
    assert np.hypot(x - (160 + 20), y - (120 - 10)) < 6


def test_the_rectangle_is_tight_around_the_silhouette() -> None:
    truck, placement = Vehicle(MODELS[8], np.random.default_rng(1)), at(16.0, 2.0, 0.7)
    sprite = painted(truck, placement, AHEAD)
    x, y, width, height, angle = rotated_box(truck, placement, AHEAD, sprite).tolist()
    rows, columns = np.nonzero(sprite.cover >= SILHOUETTE)
    right, down = columns + sprite.left + 0.5 - x, rows + sprite.top + 0.5 - y
    along, across = (
        np.abs(right * np.cos(angle) + down * np.sin(angle)),
        np.abs(down * np.cos(angle) - right * np.sin(angle)),
    )
    assert width / 2 - 0.8 < along.max() < width / 2
    assert height / 2 - 0.8 < across.max() < height / 2
