"""The public API as the code of a user, which a strict type checker reads; it is never run."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import streamdet
from streamdet import (
    Detection,
    Detections,
    Detector,
    Frame,
    FrameTracker,
    InputError,
    Loop,
    MissingExtraError,
    OutputError,
    Pipeline,
    Result,
    Run,
    Runs,
    RunStats,
    SourceEnded,
    SourceError,
    StreamdetError,
    Track,
    Tracks,
    load_tracker,
    open_source,
    track,
)

Image = npt.NDArray[np.uint8]


def camera() -> Iterator[Image]:
    yield np.zeros((480, 640, 3), np.uint8)


def one_line() -> None:
    assert_type(streamdet.__version__, str)
    for result in track("street.mp4", model="yolov8n.pt", classes="person", conf=0.3, size=(384, 640), device="cpu"):
        assert_type(result, Result)
    for source in (0, Path("street.mp4"), ["a.jpg", Path("b*.jpg")], next(camera()), [next(camera())], camera()):
        track(source, classes=0, every="auto", tracker="bytetrack", order="bgr", fps=25)


def many_sources(pipeline: Pipeline) -> None:
    with pipeline.runs("a.mp4", "rtsp://b", at_once=2, classes=["person", 2]) as runs:
        assert_type(runs, Runs)
        runs.add("c.mp4").stop()
        for run, result in runs:
            assert_type((run.source_id, run.live, run.warnings), tuple[str, bool, list[str]])
            assert_type((run.finished, run.error), tuple[bool, BaseException | None])
            assert_type(result.frame.source_id, str)
        runs.cancel()
        runs.close(timeout_s=1)


def one_run() -> None:
    with Pipeline(model=Path("yolov8n.pt"), precision="half", batch=4) as pipeline:
        assert_type(pipeline.class_names, tuple[str, ...])
        with pipeline.run("street.mp4", classes=[0], max_frames=10, draw=True, explains=True) as run:
            assert_type(run, Run)
            assert_type(next(run), Result)
            run.start()
            assert_type((run.ready(), run.source.info.frame_rate), tuple[bool, Fraction | None])
            run.save("a.mp4", Path("a.csv"))
            run.to_dataframe().groupby("id")
            run.stop()
            run.cancel()
        assert_type(run.stats, RunStats)
        assert_type((run.stats.results, run.stats.dropped, run.stats.age_s(95)), tuple[int, int, float])
        pipeline.run("street.mp4", clases=["person"])  # type: ignore[call-arg]
        pipeline.run("street.mp4", conf="high")  # type: ignore[arg-type]
        pipeline.run(3.5)  # type: ignore[arg-type]


def own_loop(pipeline: Pipeline) -> None:
    with pipeline.loop(classes="person", order="bgr", fps=29.97) as run:
        assert_type(run, Loop)
        for k, image in enumerate(camera()):
            assert_type(run.track(image, k / 25), Result)
            run.track("a.jpg", Fraction(k, 25))
            run.track(image)
        assert_type((run.stats.results, run.warnings), tuple[int, list[str]])
        run.close()
    pipeline.loop(every=2)  # type: ignore[call-arg]


def own_detector(image: Image) -> None:
    tracker = load_tracker("streamsort")
    assert_type(tracker, FrameTracker)
    found = Detections([[1, 2, 3, 4]], np.array([0.5]), [0], class_names=["person"])
    frame = Frame.from_image(image, 0.04, index=1, order="bgr", source_id="mine")
    assert_type(tracker.update(frame, found), Tracks)
    assert_type(tracker.expect(frame), Tracks)
    load_tracker("botsort", 25, reid="osnet.onnx", explains=True).close()


def show(result: Result) -> None:
    assert_type(result.draw(), Image)
    assert_type(result.draw(order="bgr"), Image)
    assert_type(result.frame.to_ndarray("bgr"), Image)
    assert_type((result.frame.index, result.frame.time, result.frame.image), tuple[int, Fraction, Image])
    result.save("a.png")
    assert_type(result.to_dataframe(), Any)
    for one in result.tracks:
        assert_type(one, Track)
        assert_type((one.id, one.class_id, one.class_name), tuple[int, int, str])
        assert_type((one.box, one.score, one.predicted), tuple[tuple[float, float, float, float], float, bool])
    tracks = result.tracks
    assert_type(tracks[0], Track)
    for some in (tracks["person"], tracks[["car", "bus"]], tracks[tracks.scores > 0.5], tracks[:3], tracks[[0, 1]]):
        assert_type(some, Tracks)
    assert_type((tracks.ids, tracks.detection_index, tracks.class_ids)[0], npt.NDArray[np.int64])
    assert_type(tracks.boxes, npt.NDArray[np.float32])
    for detection in result.detections["person"]:
        assert_type(detection, Detection)
    assert_type(result.detections[0].score, float)
    assert_type(Tracks.from_supervision(tracks.to_supervision()), Tracks)
    assert_type(Detections.from_supervision(result.detections.to_supervision()), Detections)
    result.frame = result.frame  # type: ignore[misc]


def detect(image: Image) -> None:
    detector = Detector("yolov8n.pt", classes=0, conf=0.4, size=320)
    assert_type(detector(image, order="bgr"), Detections)
    assert_type(detector(Path("a.jpg")), Detections)
    with open_source("street.mp4", max_frames=5) as frames:
        for frame, found in detector.stream(frames):
            assert_type((frame, found), tuple[Frame, Detections])
    assert_type(detector.class_names, tuple[str, ...])


def errors() -> None:
    try:
        one_line()
    except (MissingExtraError, InputError, OutputError) as error:
        assert_type(error.exit_code, int)
    except (SourceEnded, SourceError):
        pass
    except (streamdet.SourceBroken, streamdet.SourceRefused, streamdet.SourceSilent, streamdet.SourceUnreachable):
        pass
    except (streamdet.DeviceError, StreamdetError):
        pass
