"""A scene: its URL, its frames, and reading it as a video."""

import hashlib
import subprocess
import sys
from fractions import Fraction
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.scene.scene import Scene, SceneOptions, parse_scene_url
from streamdet.scene.truth import CLASS_NAMES
from streamdet.video.source import open_source


def test_a_full_url() -> None:
    url = "scene://street?seed=7&seconds=2.5&size=640x360&fps=30000/1001&time=dusk&weather=rain&camera=pan&crowd=12"
    assert parse_scene_url(url) == SceneOptions(
        7, Fraction(5, 2), Fraction(30000, 1001), (640, 360), "dusk", "rain", "pan", "12"
    )


def test_what_is_not_said() -> None:
    settings = parse_scene_url("scene://street")
    assert (settings.seed, settings.size) == (0, (768, 432))
    assert (float(settings.seconds), float(settings.fps)) == (10, 25)
    assert (settings.time, settings.weather, settings.camera, settings.crowd) == ("day", "clear", "fixed", "some")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("scene://stret?seed=1", "expected scene://street, the one scene there is, found 'scene://stret?seed=1'"),
        ("scene://street?sed=1", "expected a setting of a scene, found 'sed'; did you mean 'seed'?"),
        ("scene://street?seed=1&seed=2", "expected every setting of a scene once, found 'seed' twice"),
        ("scene://street?seed=-1", "expected a whole number of 0 or more for seed, found '-1'"),
        ("scene://street?seed=", "expected a whole number of 0 or more for seed, found ''"),
        ("scene://street?seconds=0", "expected a number above 0 and at most 120 for seconds, found '0'"),
        ("scene://street?seconds=nan", "expected a number above 0 and at most 120 for seconds, found 'nan'"),
        ("scene://street?fps=1/0", "expected a number above 0 and at most 240 for fps, found '1/0'"),
        ("scene://street?size=768", "expected WIDTHxHEIGHT of 64 to 4096 px for size, such as 768x432, found '768'"),
        ("scene://street?size=8x8", "expected WIDTHxHEIGHT of 64 to 4096 px for size, such as 768x432, found '8x8'"),
        (
            "scene://street?weather=rainy",
            "expected clear, rain, snow, fog, any for weather, found 'rainy'; did you mean 'rain'?",
        ),
        (
            "scene://street?crowd=501",
            "expected few, some, many, any, or a number up to 500 for crowd, found '501'; known: any, few, many, some",
        ),
    ],
)
def test_a_wrong_url_gets_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse_scene_url(url)
    assert str(error.value) == sentence


def test_any_is_drawn_and_the_rest_is_kept() -> None:
    settings = SceneOptions(time="any", weather="any", camera="pan", crowd="3")
    drawn = [settings.drawn(np.random.default_rng(seed)) for seed in range(40)]
    assert {one.time for one in drawn} == {"day", "dusk", "night"}
    assert {one.weather for one in drawn} == {"clear", "rain", "snow", "fog"}
    assert {(one.camera, one.crowd) for one in drawn} == {("pan", "3")}


ROOT = Path(__file__).resolve().parents[2]
SMALL = "scene://street?seed={}&seconds=4&size=384x216"
DIGEST = """
import sys, hashlib
from streamdet.scene.scene import Scene
from streamdet.scene.scene import parse_scene_url
scene = Scene(parse_scene_url(sys.argv[1]))
image, truth = scene.render(int(sys.argv[2]))
parts = (image, truth.ids, truth.class_ids, truth.boxes, truth.visible)
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""


@cache
def scene(seed: int, more: str = "") -> Scene:
    return Scene(parse_scene_url(SMALL.format(seed) + more))


def test_other_processes_paint_the_same_pixels() -> None:
    url = SMALL.format(3) + "&weather=rain&camera=handheld&time=dusk"
    image, truth = Scene(parse_scene_url(url)).render(37)
    parts = (image, truth.ids, truth.class_ids, truth.boxes, truth.visible)
    here = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    command = [sys.executable, "-c", DIGEST, url, "37"]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert there.stdout.strip() == here


def test_a_frame_does_not_depend_on_those_before() -> None:
    forward, backward = scene(4), Scene(parse_scene_url(SMALL.format(4)))
    frames = [forward.frame(index) for index in (0, 20, 40)]
    again = [backward.frame(index) for index in (40, 20, 0)][::-1]
    np.testing.assert_array_equal(frames, again)
    assert (frames[0] != frames[1]).mean() > 0.05


def test_another_seed_is_another_street() -> None:
    assert np.abs(scene(4).frame(0).astype(int) - scene(5).frame(0)).mean() > 10


@pytest.mark.parametrize("index", [-1, 100])
def test_there_is_nothing_outside_the_scene(index: int) -> None:
    with pytest.raises(IndexError, match=f"expected a frame from 0 to 99, found {index}"):
        scene(4).frame(index)


@pytest.mark.parametrize("more", ["&camera=handheld", "&weather=snow&time=night", "&weather=fog&camera=pan"])
def test_others_change_what_is_visible_of_an_object_and_nothing_else(more: str) -> None:
    street = scene(2, more)
    truth = street.truth(50)
    assert len(truth) > 3
    for identity, class_id, box, visible in zip(truth.ids, truth.class_ids, truth.boxes, truth.visible, strict=True):
        _, alone = street.painter.paint([street.actors[identity - 1]], street.camera_at(50), 2.0)
        assert (alone.ids[0], alone.class_ids[0], alone.boxes[0].tolist()) == (identity, class_id, box.tolist())
        assert alone.visible[0] >= visible


@pytest.mark.parametrize(("seed", "more"), [(2, ""), (6, ""), (2, "&camera=pan"), (4, "&camera=handheld")])
def test_boxes_are_those_of_the_pixels_that_an_object_changes(seed: int, more: str) -> None:
    """The sides and the top of the box are where the picture with the object begins to differ from that without."""
    street = scene(seed, more)
    camera, checked = street.camera_at(50), 0
    empty, _ = street.painter.paint([], camera, 2.0)
    for actor in street.actors:
        image, truth = street.painter.paint([actor], camera, 2.0)
        if len(truth) == 0 or truth.visible[0] < 1 or actor.figure.class_id == 1:
            continue
        x1, y1, x2, y2 = truth.boxes[0].astype(int)
        changed = (image != empty).any(axis=2)
        assert changed[y1:y2, x1].any() and changed[y1:y2, x2 - 1].any() and changed[y1, x1:x2].any()
        # Rows above, but for shadows cast upwards: at most a pixel that is less than a third covered.
        above = changed[:y1, x1:x2].any(axis=1)
        assert above[: y1 - 1].sum() == 0 or street.painter.light.shadow > 0.1
        checked += 1
    assert checked >= 2


def test_truth_rows_are_clean() -> None:
    for seed in range(2, 7):
        truth = scene(seed).truth(30)
        assert (np.diff(truth.ids) > 0).all() and (truth.ids >= 1).all()
        assert np.isin(truth.class_ids, range(len(CLASS_NAMES))).all()
        x1, y1, x2, y2 = truth.boxes.T
        assert (x1 >= 0).all() and (y1 >= 0).all() and (x2 <= 384).all() and (y2 <= 216).all()
        assert (x2 > x1).all() and (y2 > y1).all()
        assert (truth.visible >= 0).all() and (truth.visible <= 1).all()
        with pytest.raises(ValueError, match="read-only"):
            truth.boxes[0, 0] = 1


def test_identities_move_as_bodies_do() -> None:
    """At 25 Hz nobody on foot covers more than 4 m/s, nothing more than 20 m/s."""
    for seed in range(2, 6):
        actors = scene(seed).actors
        ridden = {id(actor.path) for actor in actors if actor.figure.class_id in (1, 3)}
        for actor in actors:
            on_foot = actor.figure.class_id == 0 and id(actor.path) not in ridden
            places = np.array([actor.path.at(index / 25).origin for index in range(100)])
            speeds = np.linalg.norm(np.diff(places, axis=0), axis=1) * 25
            assert speeds.max() <= (4.0 if on_foot else 20.0) + 1e-6


def test_boxes_move_smoothly() -> None:
    """Between two frames a box of somebody in full view keeps most of its area."""
    street = scene(2)
    previous = street.truth(0)
    for index in range(1, 25):
        truth = street.truth(index)
        for row, identity in enumerate(truth.ids):
            before = np.flatnonzero(previous.ids == identity)
            inside = (truth.boxes[row, :2] > 20).all() and (truth.boxes[row, 2:] < (364, 196)).all()
            if len(before) and inside and truth.class_ids[row] == 0:
                assert np.abs(truth.boxes[row] - previous.boxes[before[0]]).max() < 12
        previous = truth


def test_nobody_stands_in_another() -> None:
    for seed in (2, 3):
        people = [actor for actor in scene(seed).actors if actor.figure.class_id == 0]
        for one, other in combinations(people, 2):
            assert np.linalg.norm(one.path.places - other.path.places, axis=1).min() > 0.2


def test_crowds_grow_with_their_word() -> None:
    counts = [len(scene(8, f"&crowd={crowd}").actors) for crowd in ("0", "few", "some", "many")]
    assert counts[0] == 0 and counts == sorted(set(counts))


def test_an_empty_street_has_an_empty_truth() -> None:
    truth = scene(8, "&crowd=0").truth(0)
    assert len(truth) == 0 and truth.boxes.shape == (0, 4)


URL = "scene://street?seed=5&seconds=1/2&size=160x96&fps=30000/1001"


def test_a_scene_is_a_video() -> None:
    scene = Scene(parse_scene_url(URL))
    with open_source(URL) as source:
        info = source.info
        frames = list(source)
    assert (info.width, info.height, info.frame_rate, info.frame_count) == (160, 96, Fraction(30000, 1001), 14)
    assert not info.live and source.audio_from is None and source.id == URL
    assert [frame.index for frame in frames] == list(range(14))
    assert frames[13].time == 13 * Fraction(1001, 30000)
    np.testing.assert_array_equal(frames[13].image, scene.frame(13))


def test_stride_and_an_early_end() -> None:
    with open_source(URL, every=5, max_frames=2) as source:
        assert [frame.index for frame in source] == [0, 5]
    with open_source(URL) as source:
        next(source)
        source.stop()
        assert list(source) == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("scene://street?wether=rain", "expected a setting of a scene, found 'wether'; did you mean 'weather'?"),
        ("scene://beach", "expected scene://street, the one scene there is, found 'scene://beach'"),
    ],
)
def test_a_wrong_url_is_an_input_error(url: str, sentence: str) -> None:
    with pytest.raises(InputError, match="^" + sentence.replace("?", r"\?") + "$"):
        open_source(url)


def test_no_gpu_decodes_a_scene() -> None:
    with pytest.raises(InputError, match="expected a video for a GPU to decode, found a video to render at scene://"):
        open_source(URL, decode="cuda")
