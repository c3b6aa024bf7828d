"""StreamSort, the default: ByteTrack's stages over a steadier motion, for crowds and for any detector.

- Scores are taken relative to those of the objects tracked at the time, so that the same thresholds suit detectors with
  high and with low scores.
- The noise of velocities is learned from the scene (`trackers.scene`): where objects turn and stop abruptly, less is
  made of what is predicted.
- What all objects are shifted by from where they were expected is taken for the motion of the camera.
- Motion and its noise are stated per second, so that an object moves alike at any frame rate. While the speed of a
  track is uncertain, its box is widened by the distance that it may have moved (buffered IoU, arXiv 2211.14317, with
  the uncertainty as the margin).
- The affinity of a pair is its overlap, less a term for the distance of height in the image and size from the predicted
  ones, in standard deviations. These two numbers show depth, and so which object hides which (the Mahalanobis term of
  BoostTrack, arXiv 2408.13003, restricted to them). The more these surprise in a scene, the less the term weighs.
- Where nothing else overlaps a track or a detection that is left over, there is nothing to confuse it with, and less
  overlap is enough: half for each of the two. Where nothing else is even near, none is needed.
- A hidden track is reported where it is predicted, as long as its place is known well enough, until it leaves the
  image.
- The more abruptly objects move, the nearer to their median velocity a new track begins. Where frames are further apart
  than half a second, it is confirmed by its first detection.
- A detection that covers a tracked object begins no track (after TrackTrack's track-aware initialisation, CVPR 2025,
  section 3.4).
- With appearance, tracks that are still unmatched after all stages are searched for by their features, as far away as
  they can have moved.

`docs/trackers.md` lists the gain of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trackers.amendments import Claims
from trackers.assignment import unrivalled
from trackers.association import FrameContext, Matching, Pairs, overlapping_shapes
from trackers.botsort import AppearanceGate, AppearanceTracker
from trackers.bytetrack import ByteTrackConfig
from trackers.encounters import Encounters
from trackers.kalman import MIN_SIZE_PX, WidthHeightFilter, corners
from trackers.places import depth_distances, in_view, within
from trackers.scene import STILL, SceneMotion, Sightings, Vector, common_shift, sighted
from trackers.states import SPEED, SPEED_VARIANCE, VALUE, States, move
from trackers.tracker import SHORT_STEP_S
from trackers.types import BoolArray, FloatArray, IntArray

MOTION_RATE_HZ = 30.0  # the frame rate that the next three are stated for
POSITION_STD = 1 / 25  # of the box's size
VELOCITY_STD = 1 / 320  # of the box's size, per frame period, of objects that move steadily
FIRST_VELOCITY_STD = 1 / 13  # of the box's size, per frame period: 2.3 widths per second, a walker
# Noise of a variance q in each period keeps up velocities of a variance s if they decay at the rate q / (2 s); twice
# that rate scores better.
DECAY = VELOCITY_STD**2 / FIRST_VELOCITY_STD**2
FOLLOWED = 0.3  # share of a common shift that goes on: a camera turns for some frames, and shakes for one
SMALL_SHIFT_SIZES = 0.05  # of the mean size: a smaller common shift does not change what is matched
UNKNOWN_SCORE = 0.6  # the mean score assumed while no object is tracked
DEPTH_WEIGHT = 0.2
SECOND_COST_LIMIT = 0.4
UNRIVALLED_WEIGHT = 2.0  # of the affinity of a pair that is left, for each of its two that nothing else overlaps
ALONE_SIZES = 0.5  # of the smaller side: a track and a detection are widened by this on every side to see what is near
ALONE_GROWTH = 0.3  # of the logarithm of either side: such a detection is as large as the track
MOST_SIGHTINGS = 100  # more say no more of a scene
STEADY_HITS = 3  # matched detections from which on the velocity of a track is known, and it is reported while hidden
MOST_UNCERTAIN_SIZES = 0.16  # standard deviation of the place of a hidden track up to which it is reported
LEAVING_SIZES = 0.01  # of the box's size, per frame period: a hidden track this fast leaves the image with its front
WIDEST_MARGIN_SIZES = 4.0  # of the box's size: frames may be so far apart that an object can have moved anywhere
REACH_SIZES = 0.5  # box heights around its predicted place within which a lost object is searched for, plus
REACH_SIZES_PER_S = 1.5  # these for each second that it has been hidden


@dataclass(frozen=True, slots=True)
class StreamSortConfig(ByteTrackConfig):
    """Settings of `StreamSort`; score thresholds are shares of the mean score of the objects tracked at the time."""

    track_high_thresh: float = 0.6
    new_track_thresh: float = 0.85
    track_buffer_s: float = 1.5
    match_thresh: float = 0.77
    coast_s: float = 1.5
    """How long a hidden track is reported where it is expected at most, in s."""
    birth_overlap: float = 0.5
    """IoU with a matched detection above which a detection begins no track."""
    appearance_thresh: float = 0.7
    """Smallest cosine similarity at which appearance may decide."""


class StreamSort(AppearanceTracker):
    """ByteTrack over a state of centre, width and height, with appearance and the steps described above."""

    second_cost_limit = SECOND_COST_LIMIT
    motion_rate_hz = MOTION_RATE_HZ

    def __init__(self, config: StreamSortConfig | None = None, *, frame_rate: float = 30.0) -> None:
        config = config or StreamSortConfig()
        motion = WidthHeightFilter(POSITION_STD, VELOCITY_STD, FIRST_VELOCITY_STD)
        gate = AppearanceGate(min_iou=0.0, min_similarity=config.appearance_thresh)
        super().__init__(config, motion, gate, frame_rate=frame_rate)
        self._coast_periods = config.coast_s * frame_rate
        self._birth_overlap = config.birth_overlap
        self._scene = SceneMotion()
        self._claims = Claims(frame_rate, MOTION_RATE_HZ)
        self._encounters = Encounters(frame_rate, config.appearance_thresh)

    def state(self) -> dict[str, FloatArray | IntArray]:
        """Return the state as `Tracker` does, with what was learned of the scene and may be amended."""
        own = {"scene": self._scene.state(), "claims": self._claims.state()}
        return super().state() | own | self._encounters.state()

    def restore(self, state: Mapping[str, FloatArray | IntArray], *, feature_length: int | None = None) -> None:
        """Continue as `Tracker` does; earlier versions kept nothing of the scene and of amendments."""
        scene = SceneMotion.restored(state["scene"]) if "scene" in state else SceneMotion()
        claims = Claims(self._frame_rate, MOTION_RATE_HZ)
        if "claims" in state:
            claims = claims.restored(state["claims"])
        encounters = self._encounters.restored(state)
        super().restore(state, feature_length=feature_length)
        self._scene, self._claims, self._encounters = scene, claims, encounters

    def _later(self, states: States, elapsed: float) -> States:
        """Return `states` predicted; velocities tend to the common one, the faster the more abruptly objects move."""
        periods, agility = elapsed * self._pace, self._scene.agility
        return self._motion.predict(states, periods, agility=agility, decay=agility * DECAY, drift=self._scene.drift)

    def _strength(self, scores: FloatArray) -> FloatArray:
        """Return `scores` relative to the mean score of all detections matched so far with the confirmed tracks."""
        confirmed = self._table.confirmed
        hits, votes = self._table.hits.dot(confirmed), self._table.votes.compress(confirmed, axis=0)
        return scores / (votes.sum() / hits if hits else UNKNOWN_SCORE)

    def _margins(self, elapsed: float, scale: FloatArray) -> FloatArray:
        """Return the distances that tracks may have moved since the last frame beside the predicted ones."""
        deviation: FloatArray = np.sqrt(self._table.states[:, SPEED_VARIANCE, :2])
        return np.minimum(elapsed * self._pace * deviation, WIDEST_MARGIN_SIZES * scale[:, :2])

    def _affinity(self, frame: FrameContext, pairs: Pairs) -> FloatArray:
        """Return the IoU of each of `pairs` (K,), less the term for a difference in depth."""
        states, (rows, columns, iou) = self._table.states, pairs
        # a = IoU - w (1 - exp(-d2))
        surprise = 1 - np.exp(-depth_distances(states, frame.innovation, frame.measured, rows, columns))
        affinity: FloatArray = iou - self._scene.depth_steadiness * DEPTH_WEIGHT * surprise
        return affinity

    def _associate(self, frame: FrameContext) -> Matching:
        matching = super()._associate(frame)
        self._associate_alone(frame, matching)
        sightings = self._sightings(frame, matching)
        if any(shift := common_shift(sightings)) and (again := self._shifted(frame, shift)) is not None:
            frame, matching, shift = again, super()._associate(again), STILL
            self._associate_alone(frame, matching)
            sightings = self._sightings(frame, matching)
        self._scene.observe(sightings, shift)
        if frame.appearance is not None:
            self._associate_lost(frame, matching)
        self._amendments = self._encounters.follow(self._table, frame, matching)
        return matching

    def _associate_left(
        self, matching: Matching, tracks: BoolArray, detections: BoolArray, pairs: Pairs, cost: FloatArray
    ) -> None:
        """Match what is left, at less affinity where nothing else overlaps the track, or the detection, or either."""
        left = matching.free(tracks, detections, pairs).nonzero()[0]
        if len(left):
            overlaps = (np.bincount(side).take(side.take(left)) for side in (pairs.rows, pairs.columns))
            # a <- w^k a, where k of the two are in no other pair
            weight = np.prod([np.where(count == 1, UNRIVALLED_WEIGHT, 1.0) for count in overlaps], axis=0)
            cost = 1 - weight * (1 - cost.take(left))
            matching.associate("left", tracks, detections, pairs.select(left), cost, self._config.match_thresh)

    def _associate_alone(self, frame: FrameContext, matching: Matching) -> None:
        """Match a track that was just seen and a new detection of its size and class if nothing else is near either."""
        missing, rotated = frame.visible & matching.free_tracks, self._table.shapes.shape[1] > 0
        # Rotated boxes are seen from above: who drives beside another one is near it.
        if rotated or not np.count_nonzero(missing) or not len(free := super()._births(frame, matching)):
            return
        scale = self._motion.scale(self._table.states[:, VALUE])
        sizes, margins = scale[:, :2], self._margins(frame.elapsed, scale)
        reach = ALONE_SIZES * sizes.min(axis=1, keepdims=True)
        near = self._overlapping(frame.boxes, frame.detections, margins + reach)
        near = near.select(unrivalled(near.rows, near.columns))
        seen = np.maximum(frame.measured[near.columns, 2:], MIN_SIZE_PX)
        growth: FloatArray = np.abs(np.log(seen / sizes[near.rows])).max(axis=1, initial=0)
        same = self._table.class_ids[near.rows] == frame.detections.class_ids[near.columns]
        near = near.select(same & (growth < ALONE_GROWTH))
        new = np.zeros(len(frame.measured), bool)
        new[free] = True
        matching.associate("alone", missing, new, near, 1 - near.iou, self._config.match_thresh)

    def _sightings(self, frame: FrameContext, matching: Matching) -> Sightings:
        """Return where tracks of known velocity, the oldest, are seen if `matching` is right."""
        states, steady = self._table.states, self._table.hits >= STEADY_HITS
        rows = (steady & ~matching.free_tracks).nonzero()[0][:MOST_SIGHTINGS]
        index = matching.detection_of.take(rows)
        return Sightings(sighted(states, frame.innovation, frame.measured, rows, index))

    def _shifted(self, frame: FrameContext, shift: Vector) -> FrameContext | None:
        """Move all tracks by `shift` in px; return the frame with new pairs, or None where they would be the same."""
        states = self._table.states
        # Within less than a frame period, as when a camera stutters, a shift is no speed.
        followed = FOLLOWED / (max(frame.elapsed, 1.0) * self._pace)
        move(states, shift, 1.0, followed)
        sizes = states[:, VALUE, 2:]
        if max(map(abs, shift)) <= SMALL_SHIFT_SIZES * (sizes.sum() / sizes.size):
            return None
        boxes = self._motion.boxes(states)
        pairs = self._overlapping(boxes, frame.detections, frame.margins)
        return frame._replace(boxes=boxes, pairs=pairs)

    def _associate_lost(self, frame: FrameContext, matching: Matching) -> None:
        """Match unmatched tracks and strong detections that look alike, within the distance of `REACH_SIZES`."""
        table, detections = self._table, frame.detections
        lost = np.nonzero(table.confirmed & self._alive(frame) & table.known & matching.free_tracks)[0]
        free = super()._births(frame, matching)
        heights = frame.boxes[lost, 3] - frame.boxes[lost, 1]
        reach = (REACH_SIZES + REACH_SIZES_PER_S * table.unseen[lost] / self._frame_rate) * heights
        row, column = within(reach, table.states[lost, VALUE, :2], frame.measured[free, :2])
        pairs = Pairs(lost[row], free[column], np.zeros(len(row)))
        cost = 1 - self._similarity(frame, pairs.rows, pairs.columns)
        all_tracks, all_detections = np.ones(len(table), bool), np.ones(len(detections.scores), bool)
        matching.associate("appearance", all_tracks, all_detections, pairs, cost, 1 - self._gate.min_similarity)

    def _births(self, frame: FrameContext, matching: Matching) -> IntArray:
        """Return the strong detections that match nothing and cover no matched detection."""
        index, (boxes, *_, shapes) = super()._births(frame, matching), frame.detections
        if not len(index):
            return index
        matched = ~matching.free_detections
        covering = overlapping_shapes(boxes[index], shapes[index], boxes[matched], shapes[matched])
        free = np.ones(len(index), bool)
        free[covering.rows[covering.iou > self._birth_overlap]] = False
        return index[free]

    def _begin(self, frame: FrameContext, matching: Matching) -> None:
        """Add new tracks, with the speed that the scene suggests, and note what this frame shows of earlier ones."""
        table, before = self._table, self._table.begun
        super()._begin(frame, matching)
        if begun := table.begun - before:
            # Where objects move steadily each has a velocity of its own; elsewhere the camera gives them one.
            table.states[-begun:, SPEED, :2] = (1 - self._scene.steadiness) * np.array(self._scene.drift)
            table.states[-begun:, SPEED_VARIANCE] /= self._scene.steadiness
        if frame.elapsed > SHORT_STEP_S * self._frame_rate:
            # By the next frame many objects have left, and would never be reported.
            table.confirm(table.matched)
        self._amendments = self._claims.follow(table, begun, frame.elapsed) + self._amendments

    def _reported(self, frame: FrameContext) -> BoolArray:
        """Return which tracks are reported: matched ones, and steady ones whose place is known, unless they leave."""
        table = self._table
        confirmed, matched = table.confirmed, table.matched
        reported = confirmed & matched
        hidden = (confirmed > matched) & (table.hits >= STEADY_HITS) & (table.unseen <= self._coast_periods)
        rows = hidden.nonzero()[0]
        if len(rows):
            limits = MOST_UNCERTAIN_SIZES, LEAVING_SIZES, MIN_SIZE_PX
            reported[rows] = in_view(table.states, rows, frame.image_size, *limits)
        return reported

    def _reported_boxes(self, frame: FrameContext) -> FloatArray:
        """Return the boxes of the filter, and where objects move abruptly nearer to those detected."""
        trust = self._scene.steadiness
        if trust == 1 or not len(frame.measured):
            return super()._reported_boxes(frame)
        expected, detections = self._table.states[:, VALUE].T, self._table.detections
        measured = frame.measured.T.take(detections, axis=1, mode="clip")
        trusted = np.where(detections >= 0, trust, 1)
        blended = (trusted * expected + (1 - trusted) * measured).T
        return corners(blended[:, :2], blended[:, 2:])
