"""What is drawn, and where: inside the image, stable in colour, readable, fading."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.draw import Style, draw_tracks, id_color
from streamdet.trails import Trails
from streamdet.types import Tracks, UInt8Array


def one_track(box: tuple[float, float, float, float], track_id: int = 1) -> Tracks:
    return Tracks(
        np.array([track_id]), np.array([box], np.float32), np.array([0.9], np.float32), np.array([0]), np.array([0])
    )


def grey(height: int, width: int, value: int = 128) -> UInt8Array:
    return np.full((height, width, 3), value, np.uint8)


def test_the_frame_itself_is_not_touched() -> None:
    image = grey(120, 160)
    drawn = draw_tracks(image, one_track((20, 40, 100, 100)), ["person"])
    assert (image == 128).all()
    assert (drawn != 128).any()


def test_the_box_is_drawn_in_the_colour_of_its_id() -> None:
    drawn = draw_tracks(grey(480, 640), one_track((100, 200, 300, 400), 5), ["person"])
    assert tuple(drawn[300, 100]) == id_color(5)
    assert tuple(drawn[400, 200]) == id_color(5)
    assert tuple(drawn[300, 200]) == (128, 128, 128)


def test_a_predicted_box_is_dashed() -> None:
    seen = one_track((100, 200, 300, 400), 5)
    hidden = Tracks(seen.ids, seen.boxes, seen.scores, seen.class_ids, np.array([-1]))
    drawings = [draw_tracks(grey(480, 640), tracks, ["person"]) for tracks in (seen, hidden)]
    solid, dashed = ((drawn[202:400, 100] == id_color(5)).all(1) for drawn in drawings)
    assert solid.all()
    assert 0.3 < dashed.mean() < 0.7
    assert np.diff(dashed.astype(int)).any()


def test_neighbouring_ids_differ_in_colour_and_an_id_keeps_its_own() -> None:
    colors = [np.array(id_color(track_id)) for track_id in range(1, 60)]
    assert min(np.abs(a - b).max() for a, b in pairwise(colors)) > 60
    assert id_color(17) == id_color(17)


@given(
    x=st.floats(-300, 700),
    y=st.floats(-300, 500),
    width=st.floats(0, 900),
    height=st.floats(0, 700),
    name=st.sampled_from(["person", "traffic light with a very long name " * 3, "человек"]),
)
def test_the_label_never_leaves_the_frame(x: float, y: float, width: float, height: float, name: str) -> None:
    """The plate is drawn whole: in the frame stands a filled rectangle of the id's colour with the text inside."""
    drawn = draw_tracks(grey(240, 320), one_track((x, y, x + width, y + height)), [name])
    colored = (drawn == id_color(1)).all(2)
    rows = np.flatnonzero(colored.sum(1) >= 20)  # a plate row is wide; it may lose pixels to the text
    # Only a text wider than the image is shrunk, and its plate with it.
    assert len(rows) >= (8 if len(name) > 30 else Style.for_image(240, 320).text_px)


@pytest.mark.parametrize("background", [0, 255])
def test_text_contrasts_with_its_plate_on_any_background(background: int) -> None:
    for track_id in range(1, 30):
        drawn = draw_tracks(grey(480, 640, background), one_track((100, 200, 300, 400), track_id), ["person"])
        plate = drawn[170:200, 102:160].reshape(-1, 3).astype(float)
        luminance = plate @ [0.2126, 0.7152, 0.0722]
        own = np.array(id_color(track_id)) @ [0.2126, 0.7152, 0.0722]
        assert max(abs(luminance.max() - own), abs(luminance.min() - own)) > 90


def test_lines_and_text_grow_with_the_resolution() -> None:
    sizes = [(32, 32), (480, 640), (1080, 1920), (2160, 3840)]
    assert [Style.for_image(*size) for size in sizes] == [Style(1, 12), Style(2, 12), Style(4, 27), Style(9, 54)]


def test_a_trail_fades_towards_its_old_end() -> None:
    trail = np.array([[x, 100] for x in range(20, 620, 10)], np.float32)
    drawn = draw_tracks(grey(480, 640), one_track((600, 300, 620, 320)), ["person"], {1: trail})
    distance = np.abs(drawn[100].astype(int) - 128).max(1)
    assert distance[40] < distance[300] < distance[560]
    assert distance[40] > 0


def test_trails_remember_two_seconds_of_ground_points_and_forget_who_left() -> None:
    trails = Trails(length_s=2.0)
    for step in range(50):
        points = trails.update(one_track((step, 0, step + 10, 20)), step / 8)[1]
    assert points.shape == (17, 2)
    np.testing.assert_allclose(points[[0, -1]], [[38, 20], [54, 20]])
    nobody = Tracks([], [], [], [], [])
    assert trails.update(nobody, 10.0) == {}
    assert trails.update(one_track((0, 0, 10, 20)), 10.1)[1].tolist() == [[5, 20]]
