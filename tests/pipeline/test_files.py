"""Runs over files: real footage against ground truth, determinism, failures, flat memory."""

import json
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import streamdet
from streamdet.errors import InputError, StreamdetError
from streamdet.evaluate.mot import evaluate_mot
from streamdet.pipeline.pipeline import Pipeline
from streamdet.scheduler.latency import Detect, Load, RealTime, Skip
from streamdet.sinks.formats import open_track_sink
from streamdet.types import Frame
from streamdet.video.sink import VideoSink
from tests.pipeline.fakes import FakeSession, write_clip


def walking(frame: Frame) -> list[list[float]]:
    """Find two boxes that walk 1 px a frame, to the right and to the left."""
    x = frame.index % 40
    return [[x, 4, x + 12, 30], [50 - x, 8, 62 - x, 40]]


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_real_footage_scores_at_least_what_the_peer_reaches(data: Path, weights: Path, tmp_path: Path) -> None:
    """795 frames of PETS09-S2L1 with the ground truth of MOT15; the peer's figures are those of `yolo track`."""
    tracks = tmp_path / "PETS09-S2L1.txt"
    times = []
    with open_track_sink(tracks) as sink:
        for result in streamdet.track(data / "videos" / "vtest.avi", model=weights, classes=["person"], device="cpu"):
            sink.write(result)
            times.append(result.frame.time)
    assert times == [Fraction(index, 10) for index in range(795)]
    scores = evaluate_mot(data / "mot" / "MOT15" / "PETS09-S2L1", tracks).combined
    assert scores.hota >= 57.12
    assert scores.mota >= 78.69
    assert scores.idf1 >= 74.84


def test_the_same_video_gives_the_same_tracks(data: Path, weights: Path) -> None:
    def run() -> list[tuple[list[int], list[list[float]]]]:
        results = streamdet.track(data / "videos" / "vtest.avi", model=weights, size=320, max_frames=25, device="cpu")
        return [(result.tracks.ids.tolist(), result.tracks.boxes.tolist()) for result in results]

    first, second = run(), run()
    assert first == second
    assert len(first[-1][0]) >= 3


def test_an_abandoned_run_leaves_no_thread(data: Path, weights: Path) -> None:
    before = set(threading.enumerate())
    results = streamdet.track(data / "videos" / "vtest.avi", model=weights, size=320, device="cpu")
    assert next(results).frame.index == 0
    results.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


def test_a_failure_while_detecting_leaves_what_came_before_it(tmp_path: Path) -> None:
    """Frames ahead of the failure are written, the error arrives as itself, and the video plays."""

    def failing(frame: Frame) -> list[list[float]]:
        if frame.index == 20:
            raise StreamdetError("the device is gone")
        return walking(frame)

    out = tmp_path / "out.mp4"
    with (
        pytest.raises(StreamdetError, match="the device is gone"),
        Pipeline.from_session(FakeSession(find=failing)) as pipeline,
        pipeline.run(write_clip(tmp_path / "in.mp4", 50)) as run,
        VideoSink(out, info=run.source.info, audio_from=None) as sink,
    ):
        for result in run:
            sink.write(result.draw(), result.frame.pts, result.frame.time_base)
    with av.open(str(out)) as container:
        assert [frame.time for frame in container.decode(video=0)] == [index / 25 for index in range(20)]


def megabytes_per_1000_frames(folder: Path) -> list[float]:
    """Return the resident memory of this process while 10,000 frames go from file to file."""
    resident, megabytes = Path("/proc/self/statm"), []
    with (
        Pipeline.from_session(FakeSession(find=walking)) as pipeline,
        pipeline.run(write_clip(folder / "in.mp4", 10_000), draw=True) as run,
        VideoSink(folder / "out.mp4", info=run.source.info, audio_from=None) as video,
        open_track_sink(folder / "out.jsonl") as tracks,
    ):
        for result in run:
            tracks.write(result)
            video.write(result.draw(), result.frame.pts, result.frame.time_base)
            if result.frame.index % 1000 == 999:
                megabytes.append(int(resident.read_text().split()[1]) * 4096 / 1e6)
    return megabytes


@pytest.mark.integration
def test_memory_stays_flat_over_10000_frames(tmp_path: Path) -> None:
    """In a process of its own, whose memory nothing else moves."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, __file__, str(tmp_path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    megabytes = json.loads(output)
    assert len(megabytes) == 10
    assert megabytes[-1] - megabytes[1] < 15, megabytes


def test_refined_tracks_cannot_go_on_with_earlier_ids(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected refine or state, found both"):
        next(streamdet.track(write_clip(tmp_path / "in.mp4", 5), refine=True, state=tmp_path / "state"))


def test_where_nobody_detected_tracks_are_where_they_are_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def every_other(policy: RealTime, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        return Detect() if frame.index < 10 or frame.index % 2 == 0 else Skip.PREDICT

    monkeypatch.setattr(RealTime, "admit", every_other)
    clip = write_clip(tmp_path / "in.mp4", 40)
    with Pipeline.from_session(FakeSession(find=walking)) as pipeline, pipeline.run(clip, every="auto") as run:
        results = list(run)
    assert run.stats.detected == 25
    assert [result.frame.index for result in results] == list(range(40))
    for index, result in list(enumerate(results))[11::2]:
        assert len(result.detections.boxes) == 0
        assert result.tracks.ids.tolist() == [1, 2]
        np.testing.assert_allclose(result.tracks.boxes[:, 0], [index, 50 - index], atol=0.75)


def test_results_come_drawn_if_asked_for(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", 5)
    with Pipeline.from_session(FakeSession(find=walking)) as pipeline:
        with pipeline.run(clip, draw=True) as run:
            drawn = list(run)
        with pipeline.run(clip) as run:
            plain = list(run)
    for result, other in zip(drawn, plain, strict=True):
        assert other.drawing is None
        assert result.draw() is result.drawing
        np.testing.assert_array_equal(result.draw(), other.draw())
        np.testing.assert_array_equal(result.frame.image, other.frame.image)


if __name__ == "__main__":
    print(json.dumps(megabytes_per_1000_frames(Path(sys.argv[1]))))
