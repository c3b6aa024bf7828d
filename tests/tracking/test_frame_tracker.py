"""Trackers from names and YAML files, the clock, and the camera's motion on the way to the tracks."""

import os
import subprocess
import sys
from collections.abc import Callable, Container
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal

from streamdet.errors import InputError
from streamdet.options import TrackerOptions
from streamdet.rows import Amendment
from streamdet.tracking.config import read_tracker
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.types import Detections, Frame, Tracks
from trackers.config import DEFAULT_TRACKER, IMAGE_KEYS, TRACKERS

ROOT = Path(__file__).resolve().parents[2]
WriteOnnx = Callable[..., Path]
BLANK = np.zeros((32, 32, 3), np.uint8)
TICK = Fraction(1, 1000)

# The keys and values of ultralytics' files of these names.
PEER_BYTETRACK = """
tracker_type: bytetrack
track_high_thresh: 0.25
track_low_thresh: 0.1
new_track_thresh: 0.25
track_buffer: 30
match_thresh: 0.8
fuse_score: True
"""
PEER_BOTSORT = (
    PEER_BYTETRACK.replace("bytetrack", "botsort")
    + """
gmc_method: sparseOptFlow
proximity_thresh: 0.5
appearance_thresh: 0.8
with_reid: False
model: auto
"""
)


def frame(time_ms: int, index: int, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = BLANK) -> Frame:
    return Frame(index, time_ms, TICK, image, "test", 0.0)


def people(*lefts_px: float) -> Detections:
    boxes = [[x, 100, x + 40, 200] for x in lefts_px]
    return Detections(boxes, [0.9] * len(boxes), [0] * len(boxes))


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "tracker.yaml"
    path.write_text(text)
    return path


def run(tracker: FrameTracker, lefts_px: list[float | None], period_ms: int = 40) -> list[Tracks]:
    """Return the tracks of a person at these places, None while hidden."""
    return [
        tracker.update(frame(period_ms * i, i), people(*([] if x is None else [x]))) for i, x in enumerate(lefts_px)
    ]


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_a_shipped_file_states_the_defaults(name: str) -> None:
    config, path = read_tracker(name), ROOT / "configs" / "trackers" / f"{name}.yaml"
    assert config.settings == TRACKERS[name][1]()
    keys = {"tracker_type", *asdict(config.settings), *IMAGE_KEYS.get(name, ())}
    assert set(yaml.safe_load(path.read_text())) == keys


def test_the_application_and_the_package_have_one_default() -> None:
    assert TrackerOptions.tracker == DEFAULT_TRACKER


@pytest.mark.parametrize("name", ["streamsort", "botsort", "bytetrack"])
def test_shipped_trackers_follow_a_person(name: str) -> None:
    tracks = run(load_tracker(name, 25), [100 + 5 * i for i in range(20)])
    assert [t.ids.tolist() for t in tracks] == [[1]] * 20
    assert_allclose(tracks[-1].boxes, people(195).boxes, atol=1)
    assert_array_equal(tracks[-1].detection_index, [0])
    assert tracks[-1].boxes.dtype == np.float32


@pytest.mark.parametrize("text", [PEER_BOTSORT, PEER_BYTETRACK], ids=["botsort", "bytetrack"])
@pytest.mark.parametrize(("hidden_frames", "last_id"), [(24, 1), (26, 2)])
def test_ultralytics_files_load_unchanged(tmp_path: Path, text: str, hidden_frames: int, last_id: int) -> None:
    """Their 30 frames are frames at 30 Hz, one second, at any rate: 25 frames here."""
    tracker = load_tracker(settings_file(tmp_path, text), 25)
    tracks = run(tracker, [100, *[None] * hidden_frames, 100, 100])
    assert tracks[0].ids.tolist() == [1]
    assert tracks[-1].ids.tolist() == [last_id]


def test_our_lost_budget_is_in_seconds(tmp_path: Path) -> None:
    text = PEER_BYTETRACK.replace("track_buffer: 30", "track_buffer_s: 0.4")
    for hidden_frames, last_id in ((9, 1), (11, 2)):
        tracks = run(load_tracker(settings_file(tmp_path, text), 25), [100, *[None] * hidden_frames, 100, 100])
        assert tracks[-1].ids.tolist() == [last_id]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("match_thresh", "match_tresh"), "match_tresh is not a setting of botsort; did you mean 'match_thresh'?"),
        (("botsort", "botsrt"), "tracker_type 'botsrt' is not known; did you mean 'botsort'?"),
        (("botsort", "[botsort]"), "tracker_type ['botsort'] is not known; did you mean 'botsort'?"),
        (("tracker_type: botsort", ""), "tracker_type None is not known; known: botsort, bytetrack"),
        (("sparseOptFlow", "sparseOptFlo"), "gmc_method 'sparseOptFlo' is not known; did you mean 'sparseOptFlow'?"),
        (("sparseOptFlow", "files"), "gmc_method 'files' is not known; known: ecc, none, orb, sift, sparseOptFlow"),
        (
            ("with_reid: False", "with_reid: true"),
            "model must be the file of an appearance model, .onnx or .pt2, got 'auto'",
        ),
        (("with_reid: False", "with_reid: 1"), "with_reid must be true or false, got 1"),
        (("match_thresh: 0.8", "match_thresh: high"), "match_thresh must be a number, got 'high'"),
        (("match_thresh: 0.8", "match_thresh: yes"), "match_thresh must be a number, got True"),
        (("match_thresh: 0.8", "match_thresh: 1.8"), "match_thresh must be between 0 and 1, got 1.8"),
        (("match_thresh: 0.8", "match_thresh: .nan"), "match_thresh must be between 0 and 1, got nan"),
        (("fuse_score: True", "fuse_score: 0.5"), "fuse_score must be true or false, got 0.5"),
        (("track_buffer: 30", "track_buffer: -3"), "track_buffer_s must be a time in s, 0 or more, got -0.1"),
        (("track_buffer: 30", "track_buffer: long"), "track_buffer must be a number, got 'long'"),
        (
            ("track_buffer: 30", "track_buffer: 30\ntrack_buffer_s: 1"),
            "expected track_buffer_s (seconds) or track_buffer (frames at 30 Hz), found both",
        ),
        (("track_low_thresh: 0.1", "track_low_thresh: 0.3"), "track_low_thresh must not exceed track_high_thresh"),
    ],
    ids=lambda value: value[1].strip() if isinstance(value, tuple) else "",
)
def test_a_wrong_setting_is_named(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    path = settings_file(tmp_path, PEER_BOTSORT.replace(*change))
    with pytest.raises(InputError) as failure:
        load_tracker(path, 25)
    assert str(failure.value).startswith(f"{path}: {sentence}")


def test_bytetrack_knows_no_camera(tmp_path: Path) -> None:
    path = settings_file(tmp_path, PEER_BYTETRACK + "gmc_method: sparseOptFlow\n")
    with pytest.raises(InputError, match="gmc_method is not a setting of bytetrack"):
        load_tracker(path, 25)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "expected settings of a tracker, a key and a value each, found None"),
        (b"- botsort", "expected settings of a tracker, a key and a value each, found ['botsort']"),
        (b"a: [1", "expected a readable YAML file, found while parsing a flow sequence"),
        (b"\xff\xfe\x00", "expected a readable YAML file, found no UTF-8 text at byte 0"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "tracker.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as failure:
        load_tracker(path, 25)
    assert str(failure.value).startswith(f"{path}: {sentence}")
    assert "\n" not in str(failure.value)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"expected a tracker's name or YAML file, found 'bytetrak'; did you mean 'byte"
    ):
        load_tracker("bytetrak", 25)


def test_who_is_hidden_for_a_moment_is_predicted() -> None:
    """For five frames its place is known to a sixth of its width; the image is large enough for it to lie inside."""
    street = np.zeros((400, 800, 3), np.uint8)
    tracker = load_tracker("streamsort", 25)
    for i in range(10):
        tracker.update(frame(40 * i, i, street), people(100 + 5 * i))
    hidden = [tracker.update(frame(40 * i, i, street), people()) for i in range(10, 20)]
    assert [tracks.detection_index.tolist() for tracks in hidden] == [[-1]] * 5 + [[]] * 5
    assert_allclose(hidden[3].boxes, people(165).boxes, atol=3)


def crossing(tracker: FrameTracker, dark: Container[int] = ()) -> tuple[dict[int, int], list[Amendment]]:
    """Return the ids on the red person and on the green, who meet and turn back, in the last frame, and what is told.

    In the frames `dark` nobody has a colour. The first frame is at 10 s.
    """
    told: list[Amendment] = []
    for i in range(60):
        distance_px = 12 + 8 * abs(i - 20)
        lefts = {0: 300 - distance_px // 2, 1: 300 + distance_px // 2}
        if 17 <= i <= 23:  # both hidden behind something
            lefts = {}
        image = np.zeros((400, 700, 3), np.uint8)
        for channel, left in lefts.items():
            image[100:200, left : left + 40, channel] = 0 if i in dark else 255
        tracks = tracker.update(frame(10_000 + 40 * i, i, image), people(*lefts.values()))
        told += tracks.amendments
    colours = [[*lefts][index] for index in tracks.detection_index.tolist()]
    return dict(zip(colours, tracks.ids.tolist(), strict=True)), told


def test_appearance_tells_who_turned_back_from_who_walked_on(write_onnx: WriteOnnx) -> None:
    """By motion alone the two have passed one another; the model averages the colours of a crop."""
    assert crossing(load_tracker("streamsort", 25))[0] == {0: 2, 1: 1}
    assert crossing(load_tracker("streamsort", 25, reid=write_onnx())) == ({0: 1, 1: 2}, [])


def test_appearance_tells_later_that_two_were_swapped_and_since_when(write_onnx: WriteOnnx) -> None:
    """Frame 24, at 10.96 s, is the first one after both were hidden; in the dark all look the same."""
    ids, told = crossing(load_tracker("streamsort", 25, reid=write_onnx()), dark=range(14, 28))
    assert ids == {0: 2, 1: 1}
    assert told == [Amendment("swapped", (1, 2), 10.96)]


def test_a_file_may_name_the_appearance_model(tmp_path: Path, write_onnx: WriteOnnx) -> None:
    text = f"tracker_type: streamsort\nwith_reid: true\nmodel: {write_onnx()}\n"
    assert crossing(load_tracker(settings_file(tmp_path, text), 25))[0] == {0: 1, 1: 2}


def test_a_tracker_that_does_not_look_takes_no_appearance_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"that takes an appearance model \(botsort, streamsort\), found bytetrack"):
        load_tracker("bytetrack", 25, reid=tmp_path / "any.onnx")


@pytest.mark.parametrize("method", ["none", "None", "null"])
def test_without_camera_motion_a_pan_looks_like_motion(tmp_path: Path, method: str) -> None:
    """The person stays at the same place of the street while the camera pans by more than the person's width."""
    random = np.random.default_rng(0)
    layers = [cv2.resize(random.random((360 // cell, 720 // cell, 3)), (720, 360)) for cell in (40, 12)]
    street = np.asarray(np.mean(layers, axis=0) * 255, np.uint8)
    for text, expected in ((PEER_BOTSORT, [1]), (PEER_BOTSORT.replace("sparseOptFlow", method), [])):
        tracker = load_tracker(settings_file(tmp_path, text), 25)
        tracker.update(frame(0, 0, street[:, :600]), people(300))
        tracker.update(frame(40, 1, street[:, :600]), people(300))
        tracks = tracker.update(frame(80, 2, street[:, 48:648]), people(252))
        assert tracks.ids.tolist() == expected


def walk(tracker: FrameTracker, gap_ms: int, gap_frames: int) -> list[int]:
    """Return the ids after a person who goes 8 px in 40 ms was not filmed for ten frame periods."""
    for i in range(20):
        tracker.update(frame(40 * i, i), people(100 + 8 * i))
    last = 19
    tracks = tracker.update(frame(40 * last + gap_ms, last + gap_frames), people(100 + 8 * (last + 10)))
    return list(tracks.ids.tolist())


def test_timestamps_tell_how_far_things_moved() -> None:
    assert walk(load_tracker("botsort", 25), gap_ms=400, gap_frames=1) == [1]
    assert walk(load_tracker("botsort", 25), gap_ms=40, gap_frames=10) == []


@pytest.mark.parametrize("name", sorted(TRACKERS.keys() - {"sort"}))
def test_timestamps_tell_it_where_the_rate_is_unknown(name: str) -> None:
    assert walk(load_tracker(name), gap_ms=400, gap_frames=1) == [1]
    assert walk(load_tracker(name), gap_ms=40, gap_frames=10) == []


@pytest.mark.parametrize("gap_ms", [0, -700])
def test_frames_are_counted_where_the_clock_does_not_advance(gap_ms: int) -> None:
    assert walk(load_tracker("botsort", Fraction(25)), gap_ms=gap_ms, gap_frames=10) == [1]


def test_a_stream_that_starts_over_goes_on() -> None:
    tracker = load_tracker("botsort", 25)
    run(tracker, [100, 100])
    assert tracker.update(frame(0, 0), people(100)).ids.tolist() == [1]


def test_a_long_gap_ends_what_was_hidden() -> None:
    tracker = load_tracker("botsort", 25)
    run(tracker, [100, None])
    assert len(tracker.update(frame(60_000, 2), people(100))) == 0
    assert tracker.update(frame(60_040, 3), people(100)).ids.tolist() == [2]


def test_videos_do_not_share_identities() -> None:
    one, other = load_tracker("botsort", 25), load_tracker("botsort", 25)
    assert run(one, [100, 100])[-1].ids.tolist() == [1]
    assert run(other, [500, 500])[-1].ids.tolist() == [1]


def test_another_projects_trackers_is_told_in_one_sentence(tmp_path: Path) -> None:
    foreign = tmp_path / "trackers"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("")
    load = "import streamdet.tracking.frame_tracker"
    script = f"try:\n    {load}\nexcept Exception as error:\n    print(type(error).__name__, error)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path).stdout
    advice = f"rename it, or take {tmp_path} off the import path"
    assert (
        told.strip()
        == f"StreamdetError expected the package trackers of streamdet, found another one in {foreign}: {advice}"
    )
