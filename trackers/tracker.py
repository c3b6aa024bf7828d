"""What all trackers share: one update, from the detections of a frame to tracks with identities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trackers.association import Association, Matching, Pairs, overlapping
from trackers.kalman import SPEED, KalmanFilter
from trackers.tracks import TrackTable
from trackers.types import Appearance, BoolArray, Embed, FloatArray, IntArray, Observations, Tracks


class FrameContext(NamedTuple):
    """What a frame is judged by.

    The detections; which tracks (N,) were `visible` in the last frame; where all tracks are expected, `boxes` f64
    (N, 4); all `pairs` of a track and a detection that overlap; what the detections look like; width and height of the
    image in px, infinite if unknown.
    """

    found: Observations
    visible: BoolArray
    boxes: FloatArray
    pairs: Pairs
    appearance: Appearance | None
    image_size: tuple[float, float]


class Decisions(NamedTuple):
    """Why the last frame came out as it did.

    `serials`, `ids`, `unseen` (N,) and `boxes` (N, 4), as predicted, are the tracks before the frame; `associations`
    are those of the frame, whose rows and columns count in these and in the detections; `begun` (K, 2) serials and
    detections of new tracks; `confirmed` (K, 2) serials and their new ids; `ended` (K,) serials.
    """

    serials: IntArray
    ids: IntArray
    unseen: FloatArray
    boxes: FloatArray
    associations: tuple[Association, ...]
    begun: IntArray
    confirmed: IntArray
    ended: IntArray


class Tracker(ABC):
    """Gives boxes identities over time. Instances share nothing, and the same input gives the same output.

    `frame_rate` is the nominal rate in Hz; a track lives for `buffer_s` without a detection. With `explains` set,
    `decisions` tells why the last frame came out as it did.
    """

    motion_rate_hz: float | None = None
    """The frame rate that the motion's noise is stated for; None, as in the papers, for whatever rate a video has."""

    def __init__(self, motion: KalmanFilter, *, frame_rate: float, buffer_s: float) -> None:
        if not 0 < frame_rate < np.inf:
            raise ValueError(f"frame_rate must be a rate in Hz above 0, got {frame_rate}")
        self.explains = False
        self.decisions: Decisions | None = None
        self._motion = motion
        self._frame_rate = frame_rate
        self._pace = (self.motion_rate_hz or frame_rate) / frame_rate
        self._buffer_periods = buffer_s * frame_rate
        self._table = TrackTable()
        self._started = False

    def update(
        self,
        boxes: npt.ArrayLike,
        scores: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        *,
        elapsed: float = 1.0,
        camera_motion: npt.ArrayLike | None = None,
        features: npt.ArrayLike | Embed | None = None,
        image_size: tuple[float, float] = (np.inf, np.inf),
    ) -> Tracks:
        """Take in the detections of the next frame and return the tracks of this frame.

        `boxes` (N, 4) x1, y1, x2, y2 in px; `scores` (N,) in [0, 1]; `class_ids` (N,): a track's class is the label
        with the most score so far. `elapsed` is the time since the last update in nominal frame periods.
        `camera_motion` (2, 3) leads from the last image to this one, in px. `features` (N, D) describe appearance, the
        zero vector stands for unknown; a function from rows (K,) to features (K, D) is asked for those that matter.
        `image_size` is width and height in px: outside nobody is expected.
        The boxes returned are the filter's, which are steadier than the detections and score higher (HOTA on MOT17:
        +0.1). Raises ValueError on input of another shape, on values that are not finite, and when no time has elapsed;
        the tracker is then as it was before the call, unless it was the function for `features` that failed.
        """
        found = Observations.checked(boxes, scores, class_ids)
        _check_elapsed(elapsed)
        affine = None if camera_motion is None else _affine(camera_motion)
        appearance = None if features is None else self._appearance(len(found.scores), features)
        table = self._table
        table.widen(found)
        visible = table.matched
        self._predict(elapsed, visible, affine)
        expected = self._motion.boxes(table.states)
        pairs = overlapping(expected, found.boxes, self._margins(elapsed))
        frame = FrameContext(found, visible, expected, pairs, appearance, image_size)
        matching = self._associate(frame)
        before = table.serials, table.ids.copy(), table.unseen.copy()
        self._correct(frame, matching)
        self._end()
        self._begin(frame, matching)
        if self.explains:
            self.decisions = self._decided(before, expected, matching)
        return table.shown(self._reported(frame), self._motion.boxes(table.states))

    def expected(self, *, elapsed: float, camera_motion: npt.ArrayLike | None = None) -> Tracks:
        """Return where the tracks that were seen last are expected `elapsed` periods after the last update.

        For frames that nobody detects in: the tracker takes no notice, and the next update counts its time and its
        camera motion from the last one. `detection_index` is -1. Raises ValueError as `update` does.
        """
        _check_elapsed(elapsed)
        table = self._table
        rows = np.nonzero(table.confirmed & table.matched)[0]
        states = self._motion.predict(table.states[rows], elapsed * self._pace)
        if camera_motion is not None:
            states = self._motion.warp(states, _affine(camera_motion))
        ids, scores, class_ids = table.ids[rows], table.scores[rows], table.class_ids[rows]
        return Tracks(ids, self._motion.boxes(states), scores, class_ids, np.full(len(rows), -1))

    def state(self) -> dict[str, FloatArray | IntArray]:
        """Return all that the tracker remembers, as arrays by name, for `restore`."""
        return self._table.state() | {"started": np.array([int(self._started)])}

    def restore(self, state: Mapping[str, FloatArray | IntArray]) -> None:
        """Go on where a tracker with the same settings was when it gave `state`.

        Raises ValueError for what is no state; the tracker is then as it was.
        """
        table = type(self._table).restored(state)
        if "started" not in state:
            raise ValueError("expected the state of a tracker, found none of 'started'")
        self._table, self._started = table, bool(state["started"].any())

    @abstractmethod
    def _associate(self, frame: FrameContext) -> Matching:
        """Pair tracks and detections."""

    @abstractmethod
    def _births(self, frame: FrameContext, matching: Matching) -> IntArray:
        """Return the detections (K,) that start a track."""

    def _margins(self, elapsed: float) -> FloatArray | None:
        """Return by how much (N, 2), in px, boxes are widened to be compared, `elapsed` periods after a frame."""
        return None

    def _reported(self, frame: FrameContext) -> BoolArray:
        """Return which tracks (N,) are reported in this frame: those that a detection supports."""
        return self._table.confirmed & self._table.matched

    def _confirmed(self) -> BoolArray:
        """Return which tracks (N,) have been seen enough to be given an id: all that are seen a second time."""
        return self._table.matched

    def _predict(self, elapsed: float, visible: BoolArray, affine: FloatArray | None) -> None:
        """Move all tracks to the time and into the image of this frame; a hidden one keeps its size."""
        table = self._table
        table.age(elapsed)
        table.states[~visible, SPEED, 2:] = 0
        table.states = self._motion.predict(table.states, elapsed * self._pace)
        if affine is not None:
            table.states = self._motion.warp(table.states, affine)

    def _correct(self, frame: FrameContext, matching: Matching) -> None:
        """Let detections correct and confirm the tracks they are paired with."""
        rows, index = matching.pairs()
        states = self._motion.update(self._table.states[rows], frame.found.boxes[index])
        self._table.support(rows, frame.found, index, states)
        self._table.confirm(self._confirmed())

    def _end(self) -> None:
        """Forget tentative tracks that were not seen again, and others that were not seen for too long."""
        table = self._table
        table.keep(table.matched | (table.confirmed & (table.unseen <= self._buffer_periods)))

    def _begin(self, frame: FrameContext, matching: Matching) -> None:
        """Start tracks; those of the first frame need no confirmation."""
        index = self._births(frame, matching)
        self._table.add(frame.found, index, self._motion.initiate(frame.found.boxes[index]))
        if not self._started:
            self._table.confirm(self._table.matched)
        self._started = True

    def _appearance(self, count: int, features: npt.ArrayLike | Embed) -> Appearance:
        """Return the appearance of a frame; raises ValueError when the length of features changed."""
        appearance = Appearance(count, features)
        if not appearance.lazy:
            self._check_length(appearance.of(np.arange(count)))
        return appearance

    def _check_length(self, features: FloatArray) -> None:
        known = self._table.features.shape[1]
        if known and len(features) and features.shape[1] != known:
            raise ValueError(f"features must keep their length of {known}, got {features.shape[1]}")

    def _decided(
        self, before: tuple[IntArray, IntArray, FloatArray], expected: FloatArray, matching: Matching
    ) -> Decisions:
        """Return what happened to the tracks that were there `before`."""
        table = self._table
        serials, ids, unseen = before
        new = ~np.isin(table.serials, serials)
        had_id = dict(zip(serials.tolist(), ids.tolist(), strict=True))
        confirmed = [pair for pair in zip(table.serials.tolist(), table.ids.tolist(), strict=True) if pair[1]]
        return Decisions(
            serials,
            ids,
            unseen,
            expected,
            tuple(matching.associations),
            begun=np.column_stack([table.serials[new], table.detections[new]]),
            confirmed=np.array([pair for pair in confirmed if not had_id.get(pair[0])], np.int64).reshape(-1, 2),
            ended=serials[~np.isin(serials, table.serials)],
        )


def _check_elapsed(elapsed: float) -> None:
    if not 0 < elapsed < np.inf:
        raise ValueError(f"elapsed must be above 0 nominal frame periods, got {elapsed}")


def _affine(values: npt.ArrayLike) -> FloatArray:
    """Return a camera motion as f64 (2, 3)."""
    matrix = np.asarray(values, np.float64)
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
        raise ValueError(f"camera_motion must be 2 x 3 finite numbers, got {matrix.tolist()}")
    return matrix
