"""The line of stages from one source to its results: decode, detect, track, draw."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from streamdet.detect.detector import Detector
from streamdet.options import RunOptions
from streamdet.result import Result
from streamdet.scheduler.lane import LaneOptions, QueuedFrame
from streamdet.scheduler.latency import EveryFrame, RealTime
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.threads import Sink, Stage, StageTime
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.types import Detections, Frame, ToDevice, VideoInfo

NOTHING = Detections([], [], [])  # type: ignore[arg-type]


class TrackStep:
    """Makes the results of one video, frame by frame; `class_names` are those of the detections."""

    def __init__(self, tracker: FrameTracker, class_names: Sequence[str]) -> None:
        self._tracker, self._class_names = tracker, class_names

    def __call__(self, frame: Frame, detections: Detections | None) -> Result:
        """Return the result of the next frame; where it was not detected in, None, its tracks are predicted."""
        tracker = self._tracker
        if detections is None:
            detections, tracks, decisions = NOTHING, tracker.expect(frame), None
        else:
            tracks, decisions = tracker.update(frame, detections), tracker.decisions
        # Results that are kept must not keep the memory of a GPU.
        shown = frame if frame.on_device is None else replace(frame, on_device=None)
        return Result(shown, detections, tracks, self._class_names, tracker.trails, tracker.camera_motion, decisions)


PACED_RESULTS = (
    4  # of a live run that predicts, which wait to be read: a detection and the frames behind it come at once
)
IN_FLIGHT_BYTES = 512 << 20  # of pictures on their way in a run, with what is drawn on them


class FrameSource(Protocol):
    """What a run reads: a `streamdet.video.source.Source`, or frames of one's own."""

    @property
    def id(self) -> str:
        """How the source is called, without password."""

    @property
    def info(self) -> VideoInfo:
        """What is known before the first frame."""

    @property
    def audio_from(self) -> str | None:
        """The path or URL whose sound belongs to the video, if any."""

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that was wrong so far."""

    def keep_on_device(self, to_device: ToDevice | None) -> None:
        """Let `to_device` make the images of pictures that a GPU decodes."""

    def __iter__(self) -> Iterator[Frame]:
        """Return the iterator over the frames."""

    def __next__(self) -> Frame:
        """Wait for the next frame; raises StopIteration, or StreamdetError when a stream breaks off."""

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, and does not wait."""

    def close(self) -> object:
        """Release what is open."""


class Line:
    """Takes the frames of `source` through a device, a tracker and, if asked for, drawing to `results`.

    `work` decodes, in the thread that calls it, until the source ends; the other stages run in the scheduler's pool.
    `release` is to be called for each result that leaves `results`. Raises InputError for options that cannot be used.
    """

    def __init__(
        self,
        source: FrameSource,
        options: RunOptions,
        detector: Detector,
        scheduler: Scheduler,
        results: Sink[Result],
        *,
        wait_s: float,
    ) -> None:
        self.source = source
        self.tracker = load_tracker(
            options.tracker, source.info.frame_rate, reid=options.reid, explains=options.explains
        )
        if options.state is not None:
            self.tracker.remember(Path(options.state), detector.class_names, live=source.info.live)
        self._detector, self._step = detector, TrackStep(self.tracker, detector.class_names)
        self._decoding, pool = StageTime("decode"), scheduler.pool
        # Before a stage of a live run what is newest is kept: the rest only grows old. Predicted frames come in bursts.
        is_live = source.info.live
        drawn_depth, tracked_depth = 1 if is_live else None, 1 if is_live and options.every != "auto" else None
        self._draw = Stage(pool, "draw", drawn, results, depth=drawn_depth, left=self.release) if options.draw else None
        self._track = Stage(
            pool,
            "track",
            self._tracked,
            self._draw or results,
            self.tracker.close,
            depth=tracked_depth,
            left=self.release,
        )
        source.keep_on_device(detector.session.to_device)
        # Last, since a lane holds its session until it ends.
        self._lane = scheduler.lane(detector, self._track, _lane_options(source.info, options, detector, wait_s))

    @property
    def times(self) -> list[StageTime]:
        """What each stage has done so far."""
        drawing = [self._draw.time] if self._draw else []
        return [self._decoding, self._lane.time, self._track.time, *drawing]

    @property
    def detected(self) -> int:
        """Frames that were detected in."""
        return self._lane.time.items

    @property
    def dropped(self) -> int:
        """Frames of a live source that were dropped before they became results."""
        return self._lane.dropped + self._track.dropped + (self._draw.dropped if self._draw else 0)

    def work(self) -> None:
        """Decode until the source ends or fails, or nothing more is wanted; then close it."""
        try:
            for frame in self._timed(self.source):
                if not self._lane.put(frame):
                    break
        except BaseException as error:  # whatever it is, it belongs to the reader
            self._lane.end(error)
        else:
            self._lane.end()
        self.source.close()

    def release(self) -> None:
        """Let one more frame go on: a result has been taken."""
        self._lane.release()

    def stop(self) -> None:
        """Decode no more; what was decoded still comes out."""
        self.source.stop()
        self._lane.stop()

    def cancel(self) -> None:
        """Discard what is on its way."""
        self.source.stop()
        self._lane.cancel()
        for stage in (self._track, self._draw):
            if stage:
                stage.cancel()

    def join(self, deadline_s: float) -> int:
        """Wait for the stages after a cancel until ``time.monotonic()``; return how many have not ended."""
        return sum(not stage.join(deadline_s) for stage in (self._track, self._draw) if stage)

    def _tracked(self, passage: QueuedFrame) -> Result:
        frame, rows = passage.frame, passage.rows
        image_hw = frame.image.shape[:2]
        found = None if rows is None else self._detector.detections(rows, passage.letterbox, image_hw)
        return self._step(frame, found)

    def _timed(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        since_s = time.perf_counter()
        for frame in frames:
            self._decoding.busy_s += time.perf_counter() - since_s
            self._decoding.items += 1
            yield frame
            since_s = time.perf_counter()


def drawn(result: Result) -> Result:
    """Return `result` with its tracks drawn."""
    return replace(result, drawing=result.draw())


def _lane_options(info: VideoInfo, options: RunOptions, detector: Detector, wait_s: float) -> LaneOptions:
    """Return how many frames may be on their way, and what decides about them.

    Of a file one batch is computed while the next one gathers, and some results wait for their reader. Frames of a live
    source would only grow old, unless those that are too late are predicted.
    """
    in_bounds = IN_FLIGHT_BYTES // (2 * 3 * info.width * info.height)  # two pictures for each frame, one drawn on
    paced, batch = options.every == "auto", detector.batch
    queued = 1 if info.live else 2 * batch
    on_the_way = (detector.session.parallel + 2 if info.live else 4) + batch * (1 if info.live else 2)
    return LaneOptions(
        live=info.live,
        batch=batch,
        wait_s=wait_s,
        depth=min(max(queued, 4) if paced else queued, max(2, in_bounds // 2)),
        credits=min(on_the_way, max(4, in_bounds // 2)) + (PACED_RESULTS if info.live and paced else 0),
        policy=RealTime(live=info.live) if paced else EveryFrame(),
    )
