"""The second pass over a file: its frames once more, with tracks that are refined by what came later.

The first pass detects and tracks as any run does; then `trackers.offline.refine` refines the tracks of the whole file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.masks import PackedMasks
from streamdet.options import RunOptions
from streamdet.pipeline.line import FrameSource, Line, with_drawing
from streamdet.result import Result
from streamdet.scheduler.lane_options import IN_FLIGHT_BYTES
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.threads import Channel, Sink, Stage, StageTime, join_all
from streamdet.tracking.frame_tracker import DEFAULT_RATE_HZ, FrameTracker
from streamdet.tracking.stages import ResultStages
from streamdet.types import Detections, Float32Array, Frame, Tracks
from trackers.appearance import AppearanceSamples
from trackers.assignment import assign
from trackers.association import overlapping
from trackers.mot import MotRows
from trackers.rotated import placed
from trackers.types import FloatArray, IntArray
from trackers.types import Tracks as TrackerTracks

LEAST_IOU = 0.5  # between a detection and the refined box that it supports
IN_FLIGHT = 4  # results of the second pass that wait to be drawn and read


class RefinedLine:
    """Sends a source through a `Line`, then reads it again, from `reopen`, with refined tracks.

    The tracks that are kept in between grow with the video, by some hundred bytes per track and frame, with masks by
    twice as many, and with an appearance model by a sample of the features of each track. Refined tracks get new ids.
    Raises InputError for a live source, and as `Line` does.
    """

    contract = None  # a file has no limit of the latency

    def __init__(
        self,
        source: FrameSource,
        reopen: Callable[[], FrameSource],
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
        self._tracked: Channel[Result] = Channel(left=lambda: self._first.release())
        self._first = Line(source, replace(options, draw=False), detector, scheduler, self._tracked, wait_s=wait_s)
        self._first.tracker.samples = self._appearance = AppearanceSamples()
        self._thread = threading.Thread(target=self._first.work, name="decode", daemon=True)
        self._draw = Stage(scheduler.pool, "draw", with_drawing, results) if options.draw else None
        self._last = self._draw or results
        self._refining = StageTime("refine")
        image_bytes = 3 * source.info.width * source.info.height
        self._room = threading.Semaphore(max(1, min(IN_FLIGHT, IN_FLIGHT_BYTES // image_bytes)))
        self._reopen = reopen
        self._second: FrameSource | None = None
        self._stopped = self._cancelled = self._has_tracked = False

    @property
    def tracker(self) -> FrameTracker:
        """The tracker of the first pass."""
        return self._first.tracker

    @property
    def times(self) -> list[StageTime]:
        """Items and busy time of each stage so far."""
        return [*self._first.times, self._refining, *([self._draw.time] if self._draw else [])]

    @property
    def detected(self) -> int:
        """The number of frames that were detected in."""
        return self._first.detected

    @property
    def dropped(self) -> int:
        """The number of frames that were dropped: 0, since no frame of a file is."""
        return self._first.dropped

    def work(self) -> None:
        """Read the source twice, and close it."""
        self._thread.start()
        try:
            first_pass = [_TrackedFrame.from_result(result) for result in self._tracked]
            self._has_tracked = True
            if first_pass and not self._cancelled:
                self._read_again(first_pass)
        except BaseException as error:  # of any kind: it is raised to the reader
            self._last.end(error)
        else:
            self._last.end()

    def release(self) -> None:
        """Let one more frame of the second pass go on: a result has been read or discarded."""
        self._room.release()

    def stop(self) -> None:
        """End the current pass; frames that a stopped first pass has read are still refined."""
        self._stopped = self._has_tracked
        (self._second or self._first).stop()

    def cancel(self) -> None:
        """Decode no more, and discard the frames between decoding and reading."""
        self._cancelled = True
        self._first.cancel()
        self._tracked.cancel()
        self._room.release()
        if self._second:
            self._second.stop()
        if self._draw:
            self._draw.cancel()

    def join(self, deadline_s: float) -> int:
        """Wait for threads and stages after `cancel`; return how many go on at `deadline_s` of ``time.monotonic()``."""
        left = join_all([self._thread], deadline_s) + self._first.join(deadline_s)
        return left + (self._draw is not None and not self._draw.join(deadline_s))

    def _read_again(self, first_pass: list[_TrackedFrame]) -> None:
        """Read the source a second time, and pass on its frames with refined tracks."""
        rate_hz = float(self.source.info.frame_rate or DEFAULT_RATE_HZ)
        self._second = self._reopen()
        if self._stopped:
            self._second.stop()
        try:
            since_s = time.perf_counter()
            for result in refined_results(self._second, first_pass, rate_hz, self._appearance):
                self._refining.busy_s += time.perf_counter() - since_s
                self._refining.items += 1
                self._room.acquire()
                if self._cancelled:
                    return
                self._last.put(result)
                since_s = time.perf_counter()
        finally:
            self._second.close()


class _TrackedFrame(NamedTuple):
    """A result of the first pass without its image, and with its `masks` apart: they take most of the memory."""

    frame_index: int
    detections: Detections
    masks: PackedMasks | None
    tracks: Tracks
    class_names: Sequence[str]
    camera_motion: FloatArray | None

    @classmethod
    def from_result(cls, result: Result) -> _TrackedFrame:
        detections, masks = result.detections, result.detections.masks
        return cls(
            result.frame.index,
            replace(detections, masks=None),
            None if masks is None else masks.packed(),
            result.tracks,
            result.class_names,
            result.camera_motion,
        )

    def shown_detections(self) -> Detections:
        """Return the detections with their masks."""
        return self.detections if self.masks is None else replace(self.detections, masks=self.masks.unpacked())


def refined_results(
    frames: Iterable[Frame], first_pass: Sequence[_TrackedFrame], rate_hz: float, appearance: AppearanceSamples
) -> Iterator[Result]:
    """Yield `frames`, read once more, with the refined tracks of the `first_pass` over them.

    `rate_hz` is nominal; `appearance` holds the samples of the tracks of the first pass.
    """
    from trackers.offline import refine  # only here: filterpy takes most of a second to load

    # Only rows with a detection: where the first pass predicted a box, more is known now.
    detected = MotRows.concatenate([_detected_rows(tracked) for tracked in first_pass])
    refined = refine(detected, frame_rate=rate_hz, camera_motion=_camera_motion(first_pass), appearance=appearance)
    stages, shapes = ResultStages(), dict[int, Float32Array]()
    for frame, tracked in zip(frames, first_pass, strict=False):
        found = _refined_tracks(refined, tracked, shapes)
        detections = tracked.shown_detections()
        tracks = stages.tracks(found, detections, tracked.class_names, float(frame.time))
        yield Result(
            frame,
            detections,
            tracks,
            tracked.class_names,
            stages.trails,
            tracked.camera_motion,
            image_class=stages.image_class,
        )


def _detected_rows(tracked: _TrackedFrame) -> MotRows:
    """Return the tracks of a frame that have a detection, with its box and score; MOT counts frames from 1."""
    tracks, detections = tracked.tracks, tracked.detections
    rows = np.nonzero(tracks.detection_index >= 0)[0]
    index = tracks.detection_index[rows]
    frames = np.full(len(rows), tracked.frame_index + 1)
    boxes, scores = (values[index].astype(np.float64) for values in (detections.boxes, detections.scores))
    return MotRows(frames, tracks.ids[rows], boxes, scores, tracks.class_ids[rows])


def _camera_motion(first_pass: Sequence[_TrackedFrame]) -> FloatArray | None:
    """Return the camera motion into every frame up to the last, (F, 2, 3): the identity for a frame that was skipped.

    None if no motion was estimated at all.
    """
    if all(tracked.camera_motion is None for tracked in first_pass):
        return None
    motions = np.tile(np.eye(2, 3), (first_pass[-1].frame_index + 1, 1, 1))
    for tracked in first_pass[1:]:
        if tracked.camera_motion is not None:
            motions[tracked.frame_index] = tracked.camera_motion
    return motions


def _refined_tracks(refined: MotRows, tracked: _TrackedFrame, shapes: dict[int, Float32Array]) -> TrackerTracks:
    """Return the refined tracks in one frame; `shapes` are as for `_rotated`."""
    begin, end = np.searchsorted(refined.frames, [tracked.frame_index + 1, tracked.frame_index + 2])
    rows = refined.select(slice(begin, end))
    index = _detection_index(rows.boxes, tracked.detections)
    rotated = _rotated(rows, index, tracked.detections.rotated, shapes)
    return TrackerTracks(rows.ids, rows.boxes, rows.scores, rows.class_ids, index, rotated)


def _rotated(
    rows: MotRows, index: IntArray, detected: Float32Array | None, shapes: dict[int, Float32Array]
) -> FloatArray:
    """Return the rotated boxes f64 (M, 5) of refined tracks, (M, 0) if none have been detected.

    `index` (M,) are the rows of `detected` (N, 5), -1 for none. `shapes`, which are kept up to date, are the width,
    height and angle that each track was seen with last. A track that was not seen before has an upright box.
    """
    for track_id, detection in zip(rows.ids.tolist(), index.tolist(), strict=True):
        if detected is not None and detection >= 0:
            shapes[track_id] = detected[detection, 2:]
    if not shapes:
        return np.zeros((len(index), 0))
    upright = np.hstack([rows.boxes[:, 2:] - rows.boxes[:, :2], np.zeros((len(index), 1))])
    known = [shapes.get(track_id, shape) for track_id, shape in zip(rows.ids.tolist(), upright, strict=True)]
    return placed(rows.boxes, np.array(known, np.float64).reshape(-1, 3))


def _detection_index(boxes: FloatArray, detections: Detections) -> IntArray:
    """Return the index of the detection that supports each of `boxes` f64 (M, 4), -1 for none."""
    pairs = overlapping(boxes, detections.boxes.astype(np.float64))
    pairs = pairs.select(pairs.iou > LEAST_IOU)
    index = np.full(len(boxes), -1)
    if len(pairs.rows):
        chosen = assign(pairs.rows, pairs.columns, 1 - pairs.iou, 1 - LEAST_IOU)
        index[pairs.rows[chosen]] = pairs.columns[chosen]
    return index
