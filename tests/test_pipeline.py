"""The whole line from source to results: real footage against ground truth, order, determinism, flat memory."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest

import streamdet
from streamdet.detect.detector import Detector
from streamdet.errors import InputError, StreamdetError
from streamdet.evaluate.mot import evaluate_mot
from streamdet.options import TrackerOptions
from streamdet.pace import RealTime
from streamdet.pipeline import follow
from streamdet.sinks import open_track_sink
from streamdet.stages import Stages
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Detections, Frame
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source
from tests.exact import EXACT


@pytest.fixture
def weights(data: Path) -> Path:
    return data / "weights" / "yolov8n.pt"


class WalkingBoxes:
    """Stands for a detector: two boxes that walk, so that frames cost nothing to detect in."""

    class_names = ("person",)
    batch = 1
    to_device = None

    def stream(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
        for frame in frames:
            x = frame.index % 40
            boxes = np.array([[x, 4, x + 12, 30], [50 - x, 8, 62 - x, 40]], np.float32)
            yield frame, Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64))


def write_clip(path: Path, count: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            image = np.full((48, 64, 3), index % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_real_footage_scores_at_least_what_the_peer_reaches(data: Path, weights: Path, tmp_path: Path) -> None:
    """795 frames of PETS09-S2L1 with the ground truth of MOT15; the peer's figures are those of `yolo track`."""
    tracks = tmp_path / "PETS09-S2L1.txt"
    times = []
    with open_track_sink(tracks) as sink:
        for result in streamdet.track(data / "videos" / "vtest.avi", model=weights, classes=["person"], **EXACT):
            sink.write(result)
            times.append(result.frame.time)
    assert times == [Fraction(index, 10) for index in range(795)]
    scores = evaluate_mot(data / "mot" / "MOT15" / "PETS09-S2L1", tracks).combined
    assert scores.hota >= 57.12
    assert scores.mota >= 78.69
    assert scores.idf1 >= 74.84


def test_the_same_video_gives_the_same_tracks(data: Path, weights: Path) -> None:
    def run() -> list[tuple[list[int], list[list[float]]]]:
        results = streamdet.track(data / "videos" / "vtest.avi", model=weights, size=320, max_frames=25, **EXACT)
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

    class Failing(WalkingBoxes):
        def stream(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
            for frame, detections in super().stream(frames):
                if frame.index == 20:
                    raise StreamdetError("the device is gone")
                yield frame, detections

    out = tmp_path / "out.mp4"
    with (
        pytest.raises(StreamdetError, match="the device is gone"),
        open_source(write_clip(tmp_path / "in.mp4", 50)) as source,
        VideoSink(out, info=source.info, audio_from=None) as sink,
        Stages() as stages,
    ):
        failing: Any = Failing()
        for result in follow(source, failing, load_tracker("botsort", source.info.frame_rate), stages):
            sink.write(result.draw(), result.frame.pts, result.frame.time_base)
    with av.open(str(out)) as container:
        assert [frame.time for frame in container.decode(video=0)] == [index / 25 for index in range(20)]


@pytest.mark.integration
def megabytes_per_1000_frames(folder: Path) -> list[float]:
    """Return the resident memory of this process while 10,000 frames go from file to file."""
    resident, detector, megabytes = Path("/proc/self/statm"), WalkingBoxes(), []
    with (
        open_source(write_clip(folder / "in.mp4", 10_000)) as source,
        VideoSink(folder / "out.mp4", info=source.info, audio_from=None) as video,
        open_track_sink(folder / "out.jsonl") as tracks,
        Stages() as stages,
    ):
        for result in follow(source, cast(Detector, detector), load_tracker(TrackerOptions.tracker, 25), stages):
            tracks.write(result)
            video.write(result.draw(), result.frame.pts, result.frame.time_base)
            if result.frame.index % 1000 == 999:
                megabytes.append(int(resident.read_text().split()[1]) * 4096 / 1e6)
    return megabytes


def test_memory_stays_flat_over_10000_frames(tmp_path: Path) -> None:
    """In a process of its own, whose memory nothing else moves."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, __file__, str(tmp_path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    megabytes = json.loads(output)
    assert len(megabytes) == 10
    assert megabytes[-1] - megabytes[1] < 15, megabytes


def test_refined_tracks_cannot_go_on_with_earlier_ids(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected refine or state, found both"):
        next(streamdet.track(write_clip(tmp_path / "in.mp4", 5), refine=True, state=tmp_path / "state"))


def test_where_nobody_detected_tracks_are_where_they_are_expected(tmp_path: Path) -> None:
    class EveryOther(RealTime):
        def due(self, frame: Frame) -> bool:
            return frame.index < 10 or frame.index % 2 == 0

    walking: Any = WalkingBoxes()
    with open_source(write_clip(tmp_path / "in.mp4", 40)) as source, Stages() as stages:
        tracker = load_tracker(TrackerOptions.tracker, 25)
        results = list(follow(source, walking, tracker, stages, EveryOther(live=False)))
    assert [result.frame.index for result in results] == list(range(40))
    for index, result in list(enumerate(results))[11::2]:
        assert len(result.detections.boxes) == 0
        assert result.tracks.ids.tolist() == [1, 2]
        # Both walk 1 px a frame, to the right and to the left.
        np.testing.assert_allclose(result.tracks.boxes[:, 0], [index, 50 - index], atol=0.75)


def test_a_live_source_drops_the_oldest_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera twice as fast as the detector: the newest frames come out, the gaps show in the indices."""
    decoded = threading.Event()

    class Camera:
        info = SimpleNamespace(live=True, frame_rate=Fraction(25))

        def keep_on_device(self, to_device: None) -> None: ...

        def __iter__(self) -> Iterator[Frame]:
            for index in range(100):
                yield Frame(index, index, Fraction(1, 25), np.zeros((48, 64, 3), np.uint8), "camera", 0.0)
            decoded.set()

    class Slow(WalkingBoxes):
        def stream(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
            decoded.wait()  # busy for as long as the camera delivers
            yield from super().stream(frames)

    camera: Any = Camera()
    slow: Any = Slow()
    with Stages() as stages:
        indices = [r.frame.index for r in follow(camera, slow, load_tracker("botsort", Fraction(25)), stages)]
        assert indices == [96, 97, 98, 99]
        assert stages.dropped == 96


if __name__ == "__main__":
    print(json.dumps(megabytes_per_1000_frames(Path(sys.argv[1]))))
