"""The order of painting, and the visible shares and boxes that the painter measures."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scene.backdrop import FIRST_ITEM, Backdrop, Surroundings
from streamdet.scene.camera import Camera
from streamdet.scene.figures import SILHOUETTE, rasterise
from streamdet.scene.furniture import draw_item
from streamdet.scene.ground import Texture
from streamdet.scene.light import Air, Light
from streamdet.scene.painter import Painter, may_hide, paint_order
from streamdet.scene.paths import Actor, standing
from streamdet.scene.people import Person
from streamdet.scene.plan import Plan

BUS = [0.0, 10.0, 12.0, 12.5]


@pytest.mark.parametrize(
    ("person", "bus_hides", "person_hides"),
    [
        ([6, 14, 6.5, 14.5], True, False),  # behind the bus
        ([6, 8, 6.5, 8.5], False, True),  # before it
        ([11, 9, 11.5, 9.5], False, True),  # before its far end, though farther away than its near end
        ([-3, 11, -2.5, 11.5], False, True),  # beside it, on the side of the camera
    ],
)
def test_a_long_vehicle_hides_by_sides_not_by_distance(
    person: list[float], bus_hides: bool, person_hides: bool
) -> None:
    eye, both = np.array([-5.0, 0.0]), np.array([BUS, person], float)
    hides = may_hide(eye, both, both)
    assert (hides[0, 1], hides[1, 0]) == (bus_hides, person_hides)
    assert list(paint_order(eye, both, np.array([11.0, 12.0]))) == [0, 1] if person_hides else [1, 0]


@given(
    place=st.tuples(st.floats(-20, 20), st.floats(5, 40)),
    share=st.floats(0.2, 0.8),
    sizes=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)),
)
def test_the_nearer_on_one_line_of_sight_is_painted_later(
    place: tuple[float, float], share: float, sizes: tuple[float, float]
) -> None:
    """Both lie on one ray from the eye, far enough apart not to touch."""
    far = np.array(place)
    near = far * share
    rectangles = np.array([[*(p - s), *(p + s)] for p, s in ((far, sizes[0]), (near, sizes[1]))])
    apart = (rectangles[1, :2] >= rectangles[0, 2:]) | (rectangles[1, 2:] <= rectangles[0, :2])
    if apart.any():
        assert list(paint_order(np.zeros(2), rectangles, np.array([0.0, 1.0]))) == [0, 1]


SIZE = (320, 240)
CAMERA = Camera((0.0, 0.0, 3.0), 0.0, np.deg2rad(10), 300.0, (160.0, 120.0))
LIGHT = Light(np.ones(3), np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.0, False)
FIELD = Plan((), (), (-50.0, 50.0), (False, False), None, (), "grass")


def painter(post_at: float | None = None) -> Painter:
    """An empty field; with a post that many metres ahead, which takes columns 155 to 165 of the picture."""
    rng = np.random.default_rng(0)
    texture, air = Texture(rng), Air(np.ones(3), np.ones(3), 1e6, snow=False)
    shown = np.zeros((240, 320), np.uint8)
    items = []
    if post_at is not None:
        items.append(draw_item(rng, "bollard", (post_at, 0.0), leafless=False))
        shown[:, 155:165] = FIRST_ITEM
    backdrop = Backdrop(np.full((240, 320, 3), 90, np.uint8), shown, tuple(items))
    return Painter(Surroundings(rng, FIELD, LIGHT, air, texture), backdrop, LIGHT, air, SIZE, texture)


def someone(identity: int, x: float, y: float) -> Actor:
    return Actor(identity, Person(np.random.default_rng(identity), "foot", cold=True), standing((x, y), np.pi, 20))


def silhouette(actor: Actor) -> npt.NDArray[np.bool_]:
    sprite = rasterise(actor.figure.polygons(CAMERA, LIGHT, actor.path.at(0.5)), SIZE)
    assert sprite is not None
    mask = np.zeros((240, 320), bool)
    mask[sprite.rows, sprite.columns] = sprite.cover >= SILHOUETTE
    return mask


@pytest.mark.parametrize("aside", [0.0, 0.2, 0.4, 3.0])
def test_the_one_behind_loses_what_both_cover(aside: float) -> None:
    near, far = someone(1, 8.0, 0.0), someone(2, 14.0, aside)
    _, truth = painter().paint([far, near], CAMERA, 0.5)
    covered, whole = silhouette(near), silhouette(far)
    assert truth.ids.tolist() == [1, 2]
    assert truth.visible[0] == 1
    assert truth.visible[1] == pytest.approx(1 - (covered & whole).sum() / whole.sum())


def test_boxes_go_around_the_whole_silhouette() -> None:
    near, far = someone(1, 8.0, 0.0), someone(2, 14.0, 0.1)
    _, truth = painter().paint([near, far], CAMERA, 0.5)
    for row, actor in enumerate((near, far)):
        rows, columns = np.nonzero(silhouette(actor))
        assert truth.boxes[row].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_a_person_is_as_high_as_projection_says() -> None:
    """Soles and crown of somebody 20 m away, within two pixels."""
    person = someone(3, 20.0, 0.0)
    _, truth = painter().paint([person], CAMERA, 0.5)
    assert isinstance(person.figure, Person)
    ends, _ = CAMERA.project(np.array([[20.0, 0, person.figure.height_m], [20.0, 0, 0]]))
    assert np.abs(truth.boxes[0, [1, 3]] - ends[:, 1]).max() < 2


def test_a_post_hides_those_behind_it_alone() -> None:
    person = someone(1, 10.0, 0.0)
    whole = silhouette(person)
    _, behind = painter(post_at=6.0).paint([person], CAMERA, 0.5)
    _, before = painter(post_at=15.0).paint([person], CAMERA, 0.5)
    assert before.visible[0] == 1
    assert behind.visible[0] == pytest.approx(1 - whole[:, 155:165].sum() / whole.sum())


def test_the_part_outside_the_image_is_not_visible() -> None:
    """Somebody whose middle lies on the left edge: the box is cut there, and about half is visible."""
    # 0 = 160 - 300 y / Z at hip height, 1 m, with Z = 10 cos 10 + (3 - 1) sin 10
    y = 160 / 300 * (10 * np.cos(np.deg2rad(10)) + 2 * np.sin(np.deg2rad(10)))
    _, truth = painter().paint([someone(1, 10.0, y)], CAMERA, 0.5)
    assert truth.boxes[0, 0] == 0
    assert truth.visible[0] == pytest.approx(0.5, abs=0.2)


def test_nobody_behind_the_camera() -> None:
    _, truth = painter().paint([someone(1, -5.0, 0.0), someone(2, 0.5, 0.0)], CAMERA, 0.5)
    assert len(truth) == 0
