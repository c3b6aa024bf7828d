"""The second pass over a file: its frames once more, with tracks that know what came later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from streamdet.errors import InputError
from streamdet.result import Result
from streamdet.tracking.frame_tracker import DEFAULT_RATE_HZ
from streamdet.trails import Trails
from streamdet.types import Detections, Tracks
from streamdet.video.source import Source
from trackers.assignment import assign
from trackers.cost import overlapping
from trackers.mot import MotRows
from trackers.rows import FloatArray, IntArray

LEAST_IOU = 0.5  # of a detection with the refined box that it supports


class _Seen(NamedTuple):
    """What is kept of a result: all but its image."""

    frame_index: int
    detections: Detections
    tracks: Tracks
    class_names: Sequence[str]
    camera_motion: FloatArray | None


class Refinement:
    """Reads `source` a second time, opened by `reopen`, when all that was tracked in it is known and refined.

    What is kept in between grows with the video, by some hundred bytes per track and frame. Raises InputError for a
    source without an end.
    """

    def __init__(self, source: Source, reopen: Callable[[], Source]) -> None:
        if source.info.live:
            raise InputError(f"expected a source with an end to refine, found {source.id}, which is live")
        self._rate_hz = float(source.info.frame_rate or DEFAULT_RATE_HZ)
        self._reopen = reopen
        self._again: Source | None = None

    def __call__(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield the `results` again, in order, with refined tracks; ids are given anew."""
        from trackers.refine import refine  # only here: filterpy takes most of a second to load

        seen = [_Seen(r.frame.index, r.detections, r.tracks, r.class_names, r.camera_motion) for r in results]
        if not seen:
            return
        refined = refine(_supported(seen), frame_rate=self._rate_hz, camera_motion=_camera_motion(seen))
        trails = Trails()
        with self._reopen() as self._again:
            for frame, item in zip(self._again, seen, strict=False):
                tracks = _tracks(refined, item)
                trail = trails.update(tracks, float(frame.time))
                yield Result(frame, item.detections, tracks, item.class_names, trail, item.camera_motion)

    def stop(self) -> None:
        """End the second pass after the current frame, if it has begun; may be called from any thread."""
        if self._again:
            self._again.stop()


def _supported(seen: list[_Seen]) -> MotRows:
    """Return the detections that support tracks: where a place was predicted, more is known now."""
    return MotRows.concatenate([_rows(item) for item in seen])


def _rows(item: _Seen) -> MotRows:
    tracks, detections = item.tracks, item.detections
    rows = np.nonzero(tracks.detection_index >= 0)[0]
    index = tracks.detection_index[rows]
    frames = np.full(len(rows), item.frame_index + 1)
    boxes, scores = (values[index].astype(np.float64) for values in (detections.boxes, detections.scores))
    return MotRows(frames, tracks.ids[rows], boxes, scores, tracks.class_ids[rows])


def _camera_motion(seen: list[_Seen]) -> FloatArray | None:
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
