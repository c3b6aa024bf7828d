"""The base class of all trackers: one update, from the detections of a frame to tracks with ids.

An update predicts all tracks, associates them with the detections, corrects those that were matched, ends those that
were not seen for too long, and begins new ones. A tracker defines the association and which detections begin a track.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trackers.association import FrameContext, Matching, Pairs, overlapping_shapes
from trackers.decisions import NO_TRACKS, Decisions, TrackRows, explain
from trackers.kalman import KalmanFilter
from trackers.rotated import placed, warped
from trackers.states import SPEED, VALUE, States
from trackers.tracks import TrackTable, state_number
from trackers.types import (
    LARGEST,
    Amendment,
    Appearance,
    BoolArray,
    Embed,
    FloatArray,
    IntArray,
    Observations,
    Tracks,
    checked_affine,
)

SHORT_STEP_S = 0.5  # frames that were dropped: a step that every visible track continues over, whatever its budget
USUAL_STEPS = 2.0  # of the step before: as long a step is one of frames that are always so far apart
MAX_ELAPSED = 1e30  # far beyond any video, and its cube a number


class Tracker(ABC):
    """Assigns ids to the detections of a video. Instances share nothing, and the same input gives the same output.

    `frame_rate` is the nominal rate in Hz; a track lives for `buffer_s` without a detection. Over a longer step to the
    next frame a track that was matched in the last one continues only if the step is up to `SHORT_STEP_S`, or up to
    `USUAL_STEPS` times the step before it: after a pause all tracks are new. With `explains` set, `decisions` holds the
    decisions of the last frame. Raises ValueError for a rate that is not above 0 and finite.
    """

    motion_rate_hz: float | None = None
    """The frame rate that the motion's noise is stated for; None for the rate of the video, as in the papers."""

    def __init__(self, motion: KalmanFilter, *, frame_rate: float, buffer_s: float) -> None:
        if not 0 < frame_rate < np.inf:
            raise ValueError(f"frame_rate must be a rate in Hz above 0, got {frame_rate}")
        self.explains = False
        self.decisions: Decisions | None = None
        self._motion = motion
        self._frame_rate = frame_rate
        self._pace = (self.motion_rate_hz or frame_rate) / frame_rate  # periods of the motion in a nominal frame period
        self._buffer_periods = buffer_s * frame_rate
        self._table = TrackTable()
        self._started = False
        self._amendments: tuple[Amendment, ...] = ()  # of the last frame
        self._step = 1.0  # the time between the last two updates, in nominal frame periods

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
        """Return the tracks of the next frame, given its detections.

        - `boxes` (N, 4): x1, y1, x2, y2 in px; or (N, 5), rotated boxes: centre x, y, width, height, angle in rad from
          the x axis towards y. The overlap of tracks and detections is that of these boxes; all must be of one kind.
        - `scores` (N,): in [0, 1].
        - `class_ids` (N,): whole numbers from 0; the class of a track is the one with the highest sum of scores so far.
        - `elapsed`: time since the last update in nominal frame periods.
        - `camera_motion` (2, 3): affine in px from the last image to this one.
        - `features` (N, D): appearance, the zero vector means unknown; or a function from rows (K,) to features (K, D),
          which is called only for detections whose features can change the outcome.
        - `image_size`: width and height in px; no object is expected outside.

        The boxes returned are the filter's, which are steadier than the detections and score higher (HOTA on MOT17:
        +0.1). Raises ValueError on input of another shape, on values out of range, and when no time has elapsed;
        the tracker is then unchanged, except when the function for `features` failed.
        """
        detections = Observations.checked(boxes, scores, class_ids)
        elapsed, width, height = _checked_elapsed(elapsed), *map(float, image_size)
        affine = None if camera_motion is None else checked_affine(camera_motion)
        table = self._table
        length = table.features.shape[1] or None
        appearance = None if features is None else Appearance(len(detections.scores), features, length)
        table.expect_shapes(detections)
        table.add_labels(detections.class_ids)
        ended = self._end_over(elapsed)
        self._step = elapsed
        visible = table.matched
        self._predict(elapsed, visible, affine)
        predicted, scale = self._motion.boxes(table.states), self._motion.scale(table.states[:, VALUE])
        margins = self._margins(elapsed, scale)
        pairs = self._overlapping(predicted, detections, margins)
        measured, innovation = self._motion.measure(detections.boxes), self._motion.innovation(table.states, scale)
        frame = FrameContext(
            detections, measured, visible, predicted, innovation, margins, pairs, appearance, (width, height), elapsed
        )
        matching = self._associate(frame)
        before = self._rows() if self.explains else NO_TRACKS
        self._correct(frame, matching)
        self._end()
        self._begin(frame, matching)
        if self.explains:
            self.decisions = explain(table, before, ended, matching)
        tracks = table.to_tracks(self._reported(frame), self._reported_boxes(frame))
        return tracks._replace(amendments=self._amendments) if self._amendments else tracks

    def expected(self, *, elapsed: float, camera_motion: npt.ArrayLike | None = None) -> Tracks:
        """Return the tracks matched in the last update, predicted `elapsed` nominal frame periods after it.

        For frames without detection: the tracker stays unchanged, and the next update counts its time and its camera
        motion from the last update. No track is expected over a step that it would not continue over. `detection_index`
        is -1. Raises ValueError as `update` does.
        """
        elapsed, table = _checked_elapsed(elapsed), self._table
        rows = np.nonzero(table.confirmed & table.matched & ~self._past(elapsed))[0]
        states = self._later(table.states[rows], elapsed)
        if camera_motion is not None:
            states = self._motion.warp(states, checked_affine(camera_motion))
        ids, scores, class_ids = table.ids[rows], table.scores[rows], table.class_ids[rows]
        boxes = self._motion.boxes(states)
        rotated = placed(boxes, self._warped_shapes(camera_motion)[rows])
        return Tracks(ids, boxes, scores, class_ids, np.full(len(rows), -1), rotated)

    @property
    def count(self) -> int:
        """The number of tracks, hidden and tentative ones included."""
        return len(self._table)

    def state(self) -> dict[str, FloatArray | IntArray]:
        """Return the state of the tracker as arrays by name, for `restore`."""
        return self._table.state() | {"started": np.array([int(self._started)]), "step": np.array([self._step])}

    def restore(self, state: Mapping[str, FloatArray | IntArray], *, feature_length: int | None = None) -> None:
        """Continue from `state`, which a tracker with the same settings returned.

        `feature_length` is that of the features to come, None if unknown. Raises ValueError for arrays that are missing
        or do not fit; the tracker is then unchanged.
        """
        table = type(self._table).from_state(state, like=self._table, feature_length=feature_length)
        with np.errstate(all="ignore"):
            boxes = self._motion.boxes(table.states)
        if not (np.abs(boxes) <= LARGEST).all():
            raise ValueError("expected the state of a tracker, found states that are no boxes")
        # Earlier versions did not keep the step.
        step = _checked_elapsed(state_number(state, "step")) if "step" in state else 1.0
        started = bool(state_number(state, "started"))
        self._table, self._started, self._step = table, started, step

    @abstractmethod
    def _associate(self, frame: FrameContext) -> Matching:
        """Return the matches of tracks and detections."""

    @abstractmethod
    def _births(self, frame: FrameContext, matching: Matching) -> IntArray:
        """Return the detections (K,) that begin a track."""

    def _alive(self, frame: FrameContext) -> BoolArray:
        """Return which tracks (N,) may be matched: those within the buffer, and visible ones after any usual step."""
        # Without the second part, frames further apart than the buffer would end every track.
        return frame.visible | (self._table.unseen <= self._buffer_periods)

    @property
    def _usual_step(self) -> float:
        """The longest step, in nominal frame periods, that every visible track continues over."""
        return max(SHORT_STEP_S * self._frame_rate, USUAL_STEPS * self._step)

    def _past(self, elapsed: float) -> BoolArray:
        """Return which tracks (N,) end because a step of `elapsed` periods is too long to follow any of them over."""
        return (elapsed > self._usual_step) & (self._table.unseen + elapsed > self._buffer_periods)

    def _end_over(self, elapsed: float) -> TrackRows:
        """Remove the tracks that are past their time after a step of `elapsed` periods, and return them."""
        if elapsed <= self._usual_step:
            return NO_TRACKS
        table, past = self._table, self._past(elapsed)
        ended = (
            table.serials[past],
            table.ids[past],
            table.unseen[past] + elapsed,
            self._motion.boxes(table.states[past]),
        )
        table.keep(~past)
        return ended

    def _overlapping(self, boxes: FloatArray, detections: Observations, margins: FloatArray | None = None) -> Pairs:
        """Return the pairs of all tracks, at `boxes` (N, 4), and `detections` that overlap."""
        return overlapping_shapes(boxes, self._table.shapes, detections.boxes, detections.shapes, margins)

    def _warped_shapes(self, affine: npt.ArrayLike | None) -> FloatArray:
        """Return the shapes of tracks, (N, 3) or (N, 0), after a camera motion."""
        shapes = self._table.shapes
        return shapes if affine is None or not shapes.shape[1] else warped(shapes, checked_affine(affine))

    def _margins(self, elapsed: float, scale: FloatArray) -> FloatArray | None:
        """Return the margins (N, 2) in px of `overlapping`, `elapsed` periods after the last frame; None for none.

        `scale` (N, 4) is that of the predicted tracks, see `KalmanFilter.scale`.
        """
        return None

    def _reported(self, frame: FrameContext) -> BoolArray:
        """Return which tracks (N,) are reported in this frame: confirmed ones that were matched."""
        return self._table.confirmed & self._table.matched

    def _reported_boxes(self, frame: FrameContext) -> FloatArray:
        """Return the boxes (N, 4) of tracks, x1, y1, x2, y2 in px, as they are reported: those of the filter."""
        return self._motion.boxes(self._table.states)

    def _confirmed(self) -> BoolArray:
        """Return which tracks (N,) are to be confirmed after the correction: all that were matched again."""
        return self._table.matched

    def _later(self, states: States, elapsed: float) -> States:
        """Return `states` predicted `elapsed` nominal frame periods later."""
        return self._motion.predict(states, elapsed * self._pace)

    def _rows(self) -> TrackRows:
        """Return the tracks for `explain`, with their boxes as predicted."""
        table = self._table
        return table.serials, table.ids.copy(), table.unseen.copy(), self._motion.boxes(table.states)

    def _predict(self, elapsed: float, visible: BoolArray, affine: FloatArray | None) -> None:
        """Predict all tracks for the time and the image of this frame; those not `visible` keep their size."""
        table = self._table
        table.age(elapsed)
        hidden = (~visible).nonzero()[0]
        if len(hidden):
            table.states[hidden, SPEED, 2:] = 0
        table.states = self._later(table.states, elapsed)
        if affine is not None:
            table.states = self._motion.warp(table.states, affine)
            table.shapes = self._warped_shapes(affine)

    def _correct(self, frame: FrameContext, matching: Matching) -> None:
        """Correct the matched tracks by their detections, and confirm them."""
        table, (rows, index) = self._table, matching.pairs()
        if len(rows):
            table.states = self._motion.update(table.states, frame.measured, frame.innovation, matching.detection_of)
            table.support(rows, frame.detections, index)
        table.confirm(self._confirmed())

    def _end(self) -> None:
        """Remove tentative tracks that were not matched, and confirmed ones that were not matched for too long."""
        table = self._table
        table.keep(table.matched | (table.confirmed & (table.unseen <= self._buffer_periods)))

    def _begin(self, frame: FrameContext, matching: Matching) -> None:
        """Add new tracks; those of the first frame are confirmed at once."""
        index = self._births(frame, matching)
        if len(index):
            self._table.add(frame.detections, index, self._motion.initiate(frame.detections.boxes[index]))
        if not self._started:
            self._table.confirm(self._table.matched)
        self._started = True


def _checked_elapsed(elapsed: float) -> float:
    if not 0 < elapsed <= MAX_ELAPSED:
        raise ValueError(f"elapsed must be above 0 nominal frame periods, got {elapsed}")
    return float(elapsed)
