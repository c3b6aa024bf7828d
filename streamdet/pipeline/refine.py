"""The second pass over a file: its frames once more, with tracks that know what came later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.options import RunOptions
from streamdet.pipeline.line import FrameSource, Line, drawn
from streamdet.result import Result
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.threads import Channel, Sink, Stage, StageTime, join_all
from streamdet.tracking.frame_tracker import DEFAULT_RATE_HZ, FrameTracker
from streamdet.trails import Trails
from streamdet.types import Detections, Frame, Tracks
from trackers.association import assign, overlapping
from trackers.mot import MotRows
from trackers.types import FloatArray, IntArray

LEAST_IOU = 0.5  # of a detection with the refined box that it supports
IN_FLIGHT = 4  # results of the second pass that wait to be drawn and read


class _Seen(NamedTuple):
    """What is kept of a result: all but its image."""

    frame_index: int
    detections: Detections
    tracks: Tracks
    class_names: Sequence[str]
    camera_motion: FloatArray | None


class RefinedLine:
    """Takes a source through a `Line`, then reads it again, by `again`, with tracks that know what came later.

    What is kept in between grows with the video, by some hundred bytes per track and frame; ids are given anew. Raises
    InputError for a source without an end, and as `Line` does.
    """

    def __init__(
        self,
        source: FrameSource,
        again: Callable[[], FrameSource],
        options: RunOptions,
        detector: Detector,
        scheduler: Scheduler,
        results: Sink[Result],
        *,
        wait_s: float,
    ) -> None:
        if source.info.live:
            raise InputError(f"expected a source with an end to refine, found {source.id}, which is live")
        self.source = source
        self._tracked: Channel[Result] = Channel(left=self._let_go)
        self._first = Line(source, replace(options, draw=False), detector, scheduler, self._tracked, wait_s=wait_s)
        self._thread = threading.Thread(target=self._first.work, name="decode", daemon=True)
        self._draw = Stage(scheduler.pool, "draw", drawn, results) if options.draw else None
        self._last = self._draw or results
        self._refining = StageTime("refine")
        self._room = threading.Semaphore(IN_FLIGHT)
        self._again = again
        self._second: FrameSource | None = None
        self._stopped = self._cancelled = self._has_tracked = False

    @property
    def tracker(self) -> FrameTracker:
        """The tracker of the first pass."""
        return self._first.tracker

    @property
    def times(self) -> list[StageTime]:
        """What each stage has done so far."""
        return [*self._first.times, self._refining, *([self._draw.time] if self._draw else [])]

    @property
    def detected(self) -> int:
        """Frames that were detected in."""
        return self._first.detected

    @property
    def dropped(self) -> int:
        """Frames that were not detected in: none of a file."""
        return self._first.dropped

    def work(self) -> None:
        """Read the source twice, and close it."""
        self._thread.start()
        try:
            seen = [_seen(result) for result in self._tracked]
            self._has_tracked = True
            if seen and not self._cancelled:
                self._read_again(seen)
        except BaseException as error:  # whatever it is, it belongs to the reader
            self._last.end(error)
        else:
            self._last.end()

    def release(self) -> None:
        """Let one more frame go on: a result has been taken."""
        self._room.release()

    def stop(self) -> None:
        """End the pass that is going on; after the first, what was read so far is refined."""
        self._stopped = self._has_tracked
        (self._second or self._first).stop()

    def cancel(self) -> None:
        """Discard what is on its way."""
        self._cancelled = True
        self._first.cancel()
        self._tracked.cancel()
        self._room.release()
        if self._second:
            self._second.stop()
        if self._draw:
            self._draw.cancel()

    def join(self, deadline_s: float) -> int:
        """Wait for threads and stages after a cancel until ``time.monotonic()``; return how many have not ended."""
        left = join_all([self._thread], deadline_s) + self._first.join(deadline_s)
        return left + (self._draw is not None and not self._draw.join(deadline_s))

    def _let_go(self) -> None:
        self._first.release()

    def _read_again(self, seen: list[_Seen]) -> None:
        """Read the source a second time, and hand on its frames with refined tracks."""
        rate_hz = float(self.source.info.frame_rate or DEFAULT_RATE_HZ)
        self._second = self._again()
        if self._stopped:
            self._second.stop()
        try:
            since_s = time.perf_counter()
            for result in refined_results(self._second, seen, rate_hz):
                self._refining.busy_s += time.perf_counter() - since_s
                self._refining.items += 1
                self._room.acquire()
                if self._cancelled:
                    return
                self._last.put(result)
                since_s = time.perf_counter()
        finally:
            self._second.close()


def refined_results(frames: Iterable[Frame], seen: Sequence[_Seen], rate_hz: float) -> Iterator[Result]:
    """Yield `frames` once more with the tracks that were `seen` in them, refined; `rate_hz` is nominal."""
    from trackers.offline import refine  # only here: filterpy takes most of a second to load

    refined = refine(_supported(seen), frame_rate=rate_hz, camera_motion=_camera_motion(seen))
    trails = Trails()
    for frame, item in zip(frames, seen, strict=False):
        tracks = _tracks(refined, item)
        trail = trails.update(tracks, float(frame.time))
        yield Result(frame, item.detections, tracks, item.class_names, trail, item.camera_motion)


def _seen(result: Result) -> _Seen:
    return _Seen(result.frame.index, result.detections, result.tracks, result.class_names, result.camera_motion)


def _supported(seen: Sequence[_Seen]) -> MotRows:
    """Return the detections that support tracks: where a place was predicted, more is known now."""
    return MotRows.concatenate([_rows(item) for item in seen])


def _rows(item: _Seen) -> MotRows:
    tracks, detections = item.tracks, item.detections
    rows = np.nonzero(tracks.detection_index >= 0)[0]
    index = tracks.detection_index[rows]
    frames = np.full(len(rows), item.frame_index + 1)
    boxes, scores = (values[index].astype(np.float64) for values in (detections.boxes, detections.scores))
    return MotRows(frames, tracks.ids[rows], boxes, scores, tracks.class_ids[rows])


def _camera_motion(seen: Sequence[_Seen]) -> FloatArray | None:
    """Return the motion into every frame up to the last, (F, 2, 3); into a frame that was skipped there is none."""
    if all(item.camera_motion is None for item in seen):
        return None
    motions = np.tile(np.eye(2, 3), (seen[-1].frame_index + 1, 1, 1))
    for item in seen[1:]:
        if item.camera_motion is not None:
            motions[item.frame_index] = item.camera_motion
    return motions


def _tracks(refined: MotRows, item: _Seen) -> Tracks:
    """Return the rows of one frame."""
    begin, end = np.searchsorted(refined.frames, [item.frame_index + 1, item.frame_index + 2])
    rows = refined.select(slice(begin, end))
    return Tracks(
        ids=rows.ids,
        boxes=rows.boxes.astype(np.float32),
        scores=rows.scores.astype(np.float32),
        class_ids=rows.class_ids,
        detection_index=_support(rows.boxes, item.detections),
    )


def _support(boxes: FloatArray, detections: Detections) -> IntArray:
    """Return which detection supports each of `boxes` (M, 4), -1 for none."""
    pairs = overlapping(boxes, detections.boxes.astype(np.float64))
    pairs = pairs.select(pairs.iou > LEAST_IOU)
    support = np.full(len(boxes), -1)
    if len(pairs.rows):
        chosen = assign(pairs.rows, pairs.columns, 1 - pairs.iou, 1 - LEAST_IOU)
        support[pairs.rows[chosen]] = pairs.columns[chosen]
    return support
