"""The straight line: source -> detector -> tracker -> results, every stage in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import cv2

from streamdet.config import NMS_IOU, TRACKER, TRACKING_CONF
from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.pace import RealTime, paced
from streamdet.refinement import Refinement
from streamdet.result import Result
from streamdet.stages import Stages
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.types import Detections, Frame
from streamdet.video.decoder import Decode
from streamdet.video.source import Source, open_source

NOTHING = Detections([], [], [])  # type: ignore[arg-type]


def track(
    source: str | int | Path,
    *,
    model: str | Path | None = None,
    tracker: str | Path = TRACKER,
    classes: Sequence[str | int] | None = None,
    conf: float = TRACKING_CONF,
    iou: float = NMS_IOU,
    size: int | tuple[int, int] | None = None,
    device: str = "auto",
    backend: str = "auto",
    half: bool = False,
    batch: int = 1,
    decode: Decode = "auto",
    stride: int | Literal["auto"] = 1,
    max_frames: int | None = None,
    reid: str | Path | None = None,
    state: str | Path | None = None,
    refine: bool = False,
) -> Iterator[Result]:
    """Detect and track in a file, a folder or glob of images, a webcam or a stream; yields a Result per frame.

    `model` is a weights file or what ``streamdet export`` wrote, None for the embedded one, `tracker` a shipped name
    or a YAML file, `size` the longer side of the model input in px, None for 640 or what an exported model is fixed to;
    `backend` computes it, `half` in 16 bits, on a GPU up to `batch` images at once; `decode` is what decodes video (see
    `streamdet.video.source`). Every `stride`-th frame is used, at most `max_frames` of them; with "auto" all are, and
    the detector skips what real time does not allow. `reid` is the file of an appearance model. With the file `state`,
    ids go on where an earlier run left them. With `refine` a file is read twice, and what came later counts: all
    results come at the end. Closing the iterator ends all threads. Raises InputError when something given cannot be
    used, StreamdetError when something fails while running.
    """
    if refine and state is not None:
        raise InputError("expected refine or state, found both: refined tracks have other ids")
    every = 1 if stride == "auto" else stride
    reopen = partial(open_source, source, stride=every, max_frames=max_frames, decode=decode)
    # First the source: a GPU's decoder shares a context with torch if it made it.
    with reopen() as opened, Stages() as stages:
        detector = Detector(
            model,
            device=device,
            backend=backend,
            size=size,
            conf=conf,
            iou=iou,
            classes=classes,
            half=half,
            batch=batch,
        )
        frame_tracker = load_tracker(tracker, opened.info.frame_rate, reid=reid)
        if state is not None:
            frame_tracker.remember(Path(state), detector.class_names, live=opened.info.live)
        refinement = Refinement(opened, reopen) if refine else None
        pace = RealTime(live=opened.info.live) if stride == "auto" else None
        results = follow(opened, detector, frame_tracker, stages, pace)
        yield from stages.spawn(refinement(results), name="refine", depth=2) if refinement else results


def follow(
    source: Source, detector: Detector, tracker: FrameTracker, stages: Stages, pace: RealTime | None = None
) -> Iterator[Result]:
    """Spawn the stages that turn `source` into results, and return the iterator over these.

    With a `pace`, only the frames that are due by it are detected in. OpenCV computes with one thread from now on: the
    stages keep the cores busy, and its own threads would only get in their way.
    """
    cv2.setNumThreads(1)
    source.keep_on_device(detector.to_device)
    # While one batch is computed the next one gathers; frames of a live source would only grow old.
    depth = 4 if source.info.live else max(4, 2 * detector.batch)
    frames = stages.spawn(source, name="decode", depth=depth, drop_oldest=source.info.live)
    found: Iterator[tuple[Frame, Detections | None]]
    found = detector.stream(frames) if pace is None else paced(frames, detector.stream, pace)
    detected = stages.spawn(found, name="detect", depth=2)
    return stages.spawn(track_stage(detected, tracker, detector.class_names), name="track", depth=2)


def track_stage(
    detected: Iterable[tuple[Frame, Detections | None]], tracker: FrameTracker, class_names: Sequence[str]
) -> Iterator[Result]:
    """Turn detections into tracks, frame by frame; in a frame that nobody detected in, tracks are predicted."""
    with closing(tracker):
        for frame, detections in detected:
            if detections is None:
                detections, tracks, decisions = NOTHING, tracker.expect(frame), None
            else:
                tracks, decisions = tracker.update(frame, detections), tracker.decisions
            # Whoever keeps results must not keep the memory of a GPU.
            shown = frame if frame.on_device is None else replace(frame, on_device=None)
            yield Result(shown, detections, tracks, class_names, tracker.trails, tracker.camera_motion, decisions)
