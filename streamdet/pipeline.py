"""The straight line: source -> detector -> tracker -> results, every stage in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from streamdet.config import IMAGE_SIZE_PX, NMS_IOU, TRACKER, TRACKING_CONF
from streamdet.detect.detector import Detected, Detector
from streamdet.refinement import Refinement
from streamdet.result import Result
from streamdet.stages import Stages
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.trails import Trails
from streamdet.video.source import Source, open_source


def track(
    source: str | int | Path,
    *,
    model: str | Path,
    tracker: str | Path = TRACKER,
    classes: Sequence[str | int] | None = None,
    conf: float = TRACKING_CONF,
    iou: float = NMS_IOU,
    size: int | tuple[int, int] = IMAGE_SIZE_PX,
    device: str = "auto",
    half: bool = False,
    stride: int = 1,
    max_frames: int | None = None,
    reid: str | Path | None = None,
    state: str | Path | None = None,
    refine: bool = False,
) -> Iterator[Result]:
    """Detect and track in a file, a folder or glob of images, a webcam or a stream; yields a Result per frame.

    `model` is a weights file, `tracker` a shipped name or a YAML file, `size` the longer side of the model input in px.
    Every `stride`-th frame is used, at most `max_frames` of them. `reid` is the file of an appearance model. With the
    file `state`, ids go on where an earlier run left them. With `refine` a file is read twice, and what came later
    counts: all results come at the end. Closing the iterator ends all threads. Raises
    InputError when something given cannot be used, StreamdetError when something fails while running.
    """
    detector = Detector(model, device=device, size=size, conf=conf, iou=iou, classes=classes, half=half)
    reopen = partial(open_source, source, stride=stride, max_frames=max_frames)
    with reopen() as opened, Stages() as stages:
        frame_tracker = load_tracker(tracker, opened.info.frame_rate, reid=reid)
        if state is not None:
            frame_tracker.remember(Path(state), live=opened.info.live)
        refinement = Refinement(opened, reopen) if refine else None
        results = follow(opened, detector, frame_tracker, stages)
        yield from stages.spawn(refinement(results), name="refine", depth=2) if refinement else results


def follow(source: Source, detector: Detector, tracker: FrameTracker, stages: Stages) -> Iterator[Result]:
    """Spawn the stages that turn `source` into results, and return the iterator over these."""
    frames = stages.spawn(source, name="decode", depth=4, drop_oldest=source.info.live)
    detected = stages.spawn(detector.stream(frames), name="detect", depth=2)
    return stages.spawn(track_stage(detected, tracker, detector.class_names), name="track", depth=2)


def track_stage(detected: Iterable[Detected], tracker: FrameTracker, class_names: Sequence[str]) -> Iterator[Result]:
    """Turn detections into tracks, frame by frame."""
    trails = Trails()
    with closing(tracker):
        for frame, detections in detected:
            tracks = tracker.update(frame, detections)
            trail = trails.update(tracks, float(frame.time))
            yield Result(frame, detections, tracks, class_names, trail, tracker.camera_motion, tracker.decisions)
