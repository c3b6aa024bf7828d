"""The stages between one source and its results, joined to a line: decode, detect, track, draw."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from streamdet.detect.detector import Detector
from streamdet.options import IMAGE_SIZE_PX, RunOptions
from streamdet.result import Result
from streamdet.scheduler.lane import QueuedFrame
from streamdet.scheduler.lane_options import LaneOptions
from streamdet.scheduler.latency import ContractState, EveryFrame, LatencyContract, Policy, RealTime
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.threads import Sink, Stage, StageTime
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.types import Detections, Frame, ToDevice, VideoInfo

# Results that a live run keeps for its reader if it predicts: a detection and the frames behind it come at once.
PACED_RESULTS = 4
WAIT = "wait"  # the name of the stage that decodes, for a live source


@runtime_checkable
class FrameSource(Protocol):
    """The frames that a run reads: a `streamdet.video.source.Source`, or an object of the user's own."""

    @property
    def id(self) -> str:
        """The name of the source, without passwords."""

    @property
    def info(self) -> VideoInfo:
        """What is known about the video before its first frame."""

    @property
    def audio_from(self) -> str | None:
        """The path or URL whose sound and subtitles belong to the video, None if there is none."""

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem with the source so far."""

    def keep_on_device(self, to_device: ToDevice | None) -> None:
        """Let `to_device` make the images of pictures that a GPU decodes; None makes them on the host."""

    def __iter__(self) -> Iterator[Frame]:
        """Return the iterator over the frames."""

    def __next__(self) -> Frame:
        """Wait for the next frame and return it; raises StopIteration, or StreamdetError when a stream breaks off."""

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, and does not wait."""

    def close(self) -> object:
        """Close what the source has opened."""


@runtime_checkable
class CountsDamage(Protocol):
    """A source that counts what could not be decoded or is damaged."""

    @property
    def damaged(self) -> int:
        """The number of packets and frames so far."""


def damaged_in(source: FrameSource) -> int:
    """Return how many packets and frames of `source` were damaged so far, 0 if it does not count them."""
    return source.damaged if isinstance(source, CountsDamage) else 0


class Line:
    """Sends the frames of `source` through detection, tracking and, if asked for, drawing to `results`.

    `work` decodes, in the thread that calls it, until the source ends; the other stages run in the scheduler's pool.
    `release` must be called for each result that leaves `results`. Raises InputError for options that cannot be used.
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
        # A live source spends its time on waiting for the next frame.
        self._decoding, pool = StageTime(WAIT if source.info.live else "decode"), scheduler.pool
        # A live run keeps only the newest item before each stage, since the others only grow old. A run that predicts
        # keeps all before tracking: its frames come in bursts.
        is_live = source.info.live
        self._policy = _policy(source.info, options)
        is_paced = not isinstance(self._policy, EveryFrame)
        drawn_depth, tracked_depth = 1 if is_live else None, 1 if is_live and not is_paced else None
        self._draw = (
            Stage(pool, "draw", with_drawing, results, depth=drawn_depth, left=self.release) if options.draw else None
        )
        self._track = Stage(
            pool,
            "track",
            self._track_frame,
            self._draw or results,
            self.tracker.close,
            depth=tracked_depth,
            left=self.release,
        )
        source.keep_on_device(detector.session.to_device)
        # Last, since a lane uses its session until it ends: nothing that follows may fail.
        lane_options = _lane_options(source.info, self._policy, detector, wait_s)
        self._lane = scheduler.lane(detector, self._track, lane_options)

    @property
    def times(self) -> list[StageTime]:
        """Items and busy time of each stage so far."""
        drawing = [self._draw.time] if self._draw else []
        return [self._decoding, self._lane.time, self._track.time, *drawing]

    @property
    def detected(self) -> int:
        """The number of frames that were detected in."""
        return self._lane.time.items

    @property
    def dropped(self) -> int:
        """The number of frames of a live source that were dropped before they became results."""
        return self._lane.dropped + self._track.dropped + (self._draw.dropped if self._draw else 0)

    @property
    def contract(self) -> ContractState | None:
        """How the limit of the latency is kept, None without one."""
        return self._policy.state if isinstance(self._policy, LatencyContract) else None

    def work(self) -> None:
        """Decode until the source ends or fails, or the lane accepts no more; then close the source."""
        self._lane.feed(self._timed(self.source))
        self.source.close()

    def release(self) -> None:
        """Let one more frame out of the queue: a result has been read or discarded."""
        self._lane.release()

    def stop(self) -> None:
        """Decode no more; frames that are decoded still become results."""
        self.source.stop()
        self._lane.stop()

    def cancel(self) -> None:
        """Decode no more, and discard the frames between decoding and reading."""
        self.source.stop()
        self._lane.cancel()
        for stage in (self._track, self._draw):
            if stage:
                stage.cancel()

    def join(self, deadline_s: float) -> int:
        """Wait for the stages after `cancel`; return how many go on at `deadline_s` of ``time.monotonic()``."""
        return sum(not stage.join(deadline_s) for stage in (self._track, self._draw) if stage)

    def _track_frame(self, queued: QueuedFrame) -> Result:
        frame, found = queued.frame, queued.found
        image_hw = frame.image.shape[:2]
        if found is None:
            return self._step(frame, None)
        result = self._step(frame, self._detector.detections(found, queued.letterbox, image_hw))
        self._policy.done(frame, time.monotonic())
        return result

    def _timed(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield `frames`, and account the time that each takes to decode."""
        since_s = time.perf_counter()
        for frame in frames:
            self._decoding.busy_s += time.perf_counter() - since_s
            self._decoding.items += 1
            yield frame
            since_s = time.perf_counter()


class TrackStep:
    """Tracks the detections of one video, frame by frame; `class_names` are those of the detections, by id."""

    def __init__(self, tracker: FrameTracker, class_names: Sequence[str]) -> None:
        self._tracker, self._class_names = tracker, class_names
        self._nothing = Detections([], [], [], class_names)

    def __call__(self, frame: Frame, detections: Detections | None) -> Result:
        """Return the result of the next frame; its tracks are predicted if `detections` is None, for no detection."""
        tracker = self._tracker
        if detections is None:
            detections, tracks, decisions = self._nothing, tracker.expect(frame, self._class_names), None
        else:
            tracks, decisions = tracker.update(frame, detections), tracker.decisions
        # A result may be kept for long, and must not hold memory of a GPU.
        shown = frame if frame.on_device is None else replace(frame, on_device=None)
        motion, image_class = tracker.camera_motion, tracker.image_class
        return Result(
            shown, detections, tracks, self._class_names, tracker.trails, motion, decisions, image_class=image_class
        )


def with_drawing(result: Result) -> Result:
    """Return `result` with the drawing of its tracks."""
    return replace(result, drawing=result.draw())


def _policy(info: VideoInfo, options: RunOptions) -> Policy:
    """Return what decides in which frames a run detects."""
    if options.every == "auto":
        return RealTime(live=info.live)
    if options.max_latency_s is None or not info.live:
        return EveryFrame()
    size = options.size or IMAGE_SIZE_PX
    return LatencyContract(options.max_latency_s, size if isinstance(size, int) else max(size))


def _lane_options(info: VideoInfo, policy: Policy, detector: Detector, wait_s: float) -> LaneOptions:
    """Return how many frames may be in the lane and behind it, and which policy decides about them.

    For a file one batch is computed while the next one gathers, and some results wait for the reader. For a live source
    queues are short, since frames only grow old there; they are longer if tracks of late frames are predicted.
    """
    paced, batch = not isinstance(policy, EveryFrame), detector.batch
    queued = 1 if info.live else 2 * batch
    in_flight = (detector.session.parallel + 2 if info.live else 4) + batch * (1 if info.live else 2)
    return LaneOptions(
        live=info.live,
        batch=batch,
        wait_s=wait_s,
        depth=max(queued, 4) if paced else queued,
        credits=in_flight + (PACED_RESULTS if info.live and paced else 0),
        policy=policy,
    )
