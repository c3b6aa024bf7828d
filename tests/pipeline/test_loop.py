"""Images from a loop of one's own: what comes out is what a run over the same images gives."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.pipeline.pipeline import Pipeline
from streamdet.result import Result
from streamdet.tracking.frame_tracker import load_tracker
from tests.pipeline.fakes import FakeSession, grey_frame, write_clip
from trackers.config import TRACKERS

COUNT = 20


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with Pipeline.from_session(FakeSession()) as pipeline:
        yield pipeline


def track_all(pipeline: Pipeline, results: list[Result], **options: Any) -> list[Result]:
    with pipeline.loop(**options) as run:
        return [run.track(result.frame.image, result.frame.time) for result in results]


def outcomes(results: list[Result]) -> list[Any]:
    """Return, to the byte, all that comes of each frame but what its source is called."""
    return [
        (
            (each.frame.time, each.detections, each.tracks, each.tracks.class_names),
            {track_id: trail.tobytes() for track_id, trail in each.trails.items()},
            None if each.camera_motion is None else each.camera_motion.tobytes(),
        )
        for each in results
    ]


@pytest.mark.parametrize("tracker", sorted(TRACKERS))
def test_a_loop_gives_what_a_run_gives(data: Path, tracker: str) -> None:
    """Real footage, by the embedded model, with the camera's motion where the tracker uses it."""
    options: dict[str, Any] = {"size": 320, "tracker": tracker}
    with Pipeline(device="cpu") as pipeline:
        with pipeline.run(data / "videos" / "vtest.avi", max_frames=12, **options) as run:
            expected = list(run)
        found = track_all(pipeline, expected, fps=10, **options)
    assert len(expected[-1].tracks) > 0
    assert outcomes(found) == outcomes(expected)


@pytest.mark.parametrize("tracker", sorted(TRACKERS))
def test_a_tracker_alone_gives_what_a_run_gives(tmp_path: Path, pipeline: Pipeline, tracker: str) -> None:
    with pipeline.run(write_clip(tmp_path / "a.mp4", COUNT), tracker=tracker) as run:
        expected = list(run)
    alone = load_tracker(tracker, 25)
    assert [alone.update(each.frame, each.detections) for each in expected] == [each.tracks for each in expected]
    assert len(expected[-1].tracks) > 0


def test_times_alone_tell_the_motion_without_a_rate(tmp_path: Path, pipeline: Pipeline) -> None:
    """StreamSort states motion per second, so that the rate it assumes does not matter."""
    with pipeline.run(write_clip(tmp_path / "a.mp4", COUNT)) as run:
        every_third = [each for each in run if each.frame.index % 3 == 0]
    known, unknown = track_all(pipeline, every_third, fps=25), track_all(pipeline, every_third)
    for one, other in zip(known, unknown, strict=True):
        assert one.tracks.ids.tolist() == other.tracks.ids.tolist()
        np.testing.assert_allclose(one.tracks.boxes, other.tracks.boxes, atol=1e-3)


def test_images_without_times_follow_each_other_at_the_rate(pipeline: Pipeline) -> None:
    images = [grey_frame(k).image for k in range(4)]
    with pipeline.loop(fps=12.5) as run:
        assert [run.track(image).frame.time for image in images] == [Fraction(2 * k, 25) for k in range(4)]
    with pipeline.loop() as run:
        times = [run.track(images[0], 5).frame.time, *(run.track(image).frame.time for image in images[1:])]
    assert {later - earlier for earlier, later in pairwise(times)} == {Fraction(1, 30)}


def test_frames_are_counted_and_their_images_are_kept(pipeline: Pipeline) -> None:
    buffer, results = np.zeros((48, 64, 3), np.uint8), []
    with pipeline.loop(order="bgr", classes="person") as run:
        for k in range(3):
            buffer[:] = (k, 10 + k, 20 + k)
            results.append(run.track(buffer, k / 25))
        assert run.stats.results == run.stats.detected == 3
    assert [each.frame.index for each in results] == [0, 1, 2]
    assert [each.frame.image[0, 0].tolist() for each in results] == [[20 + k, 10 + k, k] for k in range(3)]
    assert {track.class_name for track in results[-1].tracks} == {"person"}


def test_two_loops_and_a_run_share_a_pipeline(tmp_path: Path, pipeline: Pipeline) -> None:
    with pipeline.run(write_clip(tmp_path / "a.mp4", COUNT)) as run:
        expected = list(run)
    with pipeline.loop(fps=25) as one, pipeline.loop(fps=25, classes="car") as other:
        for each in expected:
            assert one.track(each.frame.image, each.frame.time).tracks == each.tracks
            assert set(other.track(each.frame.image, each.frame.time).detections.class_ids.tolist()) == {1}


def test_ids_go_on_in_the_next_loop(tmp_path: Path, pipeline: Pipeline) -> None:
    images, state = [grey_frame(k).image for k in range(8)], tmp_path / "ids.npz"
    with pipeline.loop(fps=25) as run:
        whole = [run.track(image) for image in images]
    parts = []
    for part in (range(4), range(4, 8)):
        with pipeline.loop(fps=25, state=state) as run:
            parts += [run.track(images[k], k / 25) for k in part]
    assert [each.tracks for each in parts] == [each.tracks for each in whole]


def test_a_time_that_does_not_advance_is_refused_and_the_loop_goes_on(pipeline: Pipeline) -> None:
    image = grey_frame(0).image
    with pipeline.loop() as run:
        run.track(image, 1.0)
        for time in (1.0, 0.5):
            with pytest.raises(InputError, match="expected a time after that of the image before, 1 s, found "):
                run.track(image, time)
        with pytest.raises(InputError, match=r"expected an image \(H, W, 3\)"):
            run.track(image[None], 1.04)
        assert run.track(image, 1.04).frame.index == 1


def test_a_loop_that_is_closed_says_so(pipeline: Pipeline) -> None:
    image = grey_frame(0).image
    with pipeline.loop() as run:
        run.track(image)
    with pytest.raises(ValueError, match="expected a loop that is open, found one that was closed"):
        run.track(image)
    run.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": "persn"}, "no class 'persn'; did you mean 'person'"),
        ({"tracker": "bytetrak"}, "did you mean 'bytetrack'"),
        ({"refine": True}, "expected a file to refine, which can be read again, found images"),
        ({"every": 2}, "unknown keyword 'every'"),
    ],
)
def test_options_are_refused_before_the_first_image(pipeline: Pipeline, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pipeline.loop(**options)


def test_an_error_of_the_device_comes_as_it_is(pipeline: Pipeline) -> None:
    session: Any = pipeline.session
    session.failing = {1}
    with pipeline.loop() as run:
        run.track(grey_frame(0).image)
        with pytest.raises(RuntimeError, match="the device is gone"):
            run.track(grey_frame(1).image)
