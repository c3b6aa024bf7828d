"""Result stages: what is added to the tracks of each frame, and remembered from one frame to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from streamdet.rows import Amendment, ImageClass, class_name
from streamdet.trails import Trail, Trails
from streamdet.types import Arrays, Detections, Float32Array, Int64Array, Tracks, state_array
from trackers.types import Tracks as TrackerTracks

MEAN_S = 1.0  # of which the mean probabilities of an image's classes are taken
LEAD_S = 0.5  # for which another class must have the highest mean before it is shown
_EXACT_S = 1e-6  # times that differ by less are equal
_NO_CLASS = -1


class ResultStages:
    """Adds trails, key points, rotated boxes and the class of the image to what a tracker finds in each frame.

    After each frame, `trails` are those of its tracks by id, and `image_class` is the class of the image that is shown,
    None unless the model classifies.
    """

    def __init__(self) -> None:
        self.trails: Mapping[int, Trail] = {}
        self.image_class: ImageClass | None = None
        self._trails, self._poses, self._shown = Trails(), Poses(), ShownClass()

    def tracks(
        self, found: TrackerTracks, detections: Detections | None, class_names: Sequence[str], time_s: float
    ) -> Tracks:
        """Return what the tracker `found` with all that belongs to it; `detections` is None in a frame without."""
        ids, boxes, index = found.ids, found.boxes.astype(np.float32), found.detection_index
        tracks = Tracks(
            ids=ids,
            boxes=boxes,
            scores=found.scores.astype(np.float32),
            class_ids=found.class_ids,
            detection_index=index,
            class_names=class_names,
            keypoints=self._poses.update(ids, boxes, index, None if detections is None else detections.keypoints),
            rotated=_rotated(found, detections),
            amendments=[
                Amendment(kind, ids, None if ago_s is None else round(time_s - ago_s, 4))
                for kind, ids, ago_s in found.amendments
            ],
        )
        self.trails = self._trails.update(tracks, time_s)
        if detections is not None and detections.probabilities is not None:
            class_id, probability = self._shown.update(detections.probabilities, time_s)
            self.image_class = ImageClass(class_id, class_name(class_id, class_names), probability)
        return tracks

    def shift(self, by_s: float) -> None:
        """Add `by_s` to all times, to continue with another recording whose time starts anew."""
        self._trails.shift(by_s)
        self._shown.shift(by_s)

    def scale(self, x: float, y: float) -> None:
        """Go on in images whose width and height are `x` and `y` times those so far."""
        self._trails.scale(x, y)

    def state(self) -> tuple[Arrays, Mapping[str, Arrays]]:
        """Return the state of the trails, and that of each other stage that has one, by name."""
        stages = {"keypoints": self._poses.state(), "image_class": self._shown.state()}
        return self._trails.state(), {name: state for name, state in stages.items() if state}

    @classmethod
    def from_state(cls, trails: Arrays, others: Mapping[str, Arrays]) -> Self:
        """Return the stages with this `state`; raises ValueError if it is invalid."""
        stages = cls()
        stages._trails = Trails.from_state(trails)
        stages._poses = Poses.from_state(others.get("keypoints", {}))
        stages._shown = ShownClass.from_state(others.get("image_class", {}))
        return stages


def _rotated(found: TrackerTracks, detections: Detections | None) -> Float32Array | None:
    """Return the rotated boxes of tracks, those detected or, of hidden objects, expected; None without any."""
    if not found.rotated.shape[1]:
        return None
    rotated = found.rotated.astype(np.float32)
    if detections is not None and detections.rotated is not None:
        seen = found.detection_index >= 0
        rotated[seen] = detections.rotated[found.detection_index[seen]]
    return rotated


class Poses:
    """The key points of tracks: those detected or, of an object that is not, those seen last, moved with its box.

    The visibility of points that are moved stays as it was seen: that the track is predicted is told by its index, and
    skeletons would flicker where only every N-th frame is detected in.
    """

    def __init__(self) -> None:
        # Those of the last frame.
        self._ids: Int64Array = np.zeros(0, np.int64)
        self._boxes: Float32Array = np.zeros((0, 4), np.float32)
        self._points: Float32Array = np.zeros((0, 0, 3), np.float32)

    def update(
        self, ids: Int64Array, boxes: Float32Array, index: Int64Array, detected: Float32Array | None
    ) -> Float32Array | None:
        """Return the key points f32 (M, K, 3) of tracks `ids` (M,) in `boxes` (M, 4), None if no model finds any.

        `index` (M,) are the rows of `detected` (N, K, 3), -1 for none; `detected` is None in a frame without detection.
        """
        count = (0 if detected is None else detected.shape[1]) or self._points.shape[1]
        if not count:
            return None
        points = np.zeros((len(ids), count, 3), np.float32)
        points[:, :, :2] = _centres(boxes)[:, None]
        if detected is not None and len(detected):
            points[index >= 0] = detected[index[index >= 0]]
        if count == self._points.shape[1]:
            _, now, before = np.intersect1d(ids[index < 0], self._ids, return_indices=True)
            rows = np.flatnonzero(index < 0)[now]
            points[rows] = _moved(self._points[before], self._boxes[before], boxes[rows])
        self._ids, self._boxes, self._points = ids, boxes, points
        return points

    def state(self) -> Arrays:
        """Return the key points of the last frame with ids and boxes of their tracks, nothing without a pose model."""
        if not self._points.shape[1]:
            return {}
        return {"ids": self._ids, "boxes": self._boxes, "points": self._points}

    @classmethod
    def from_state(cls, state: Arrays) -> Self:
        """Return the poses with this `state`; raises ValueError if it is invalid."""
        poses = cls()
        if state:
            poses._ids = state_array(state, "ids", np.int64, (None,))
            poses._boxes = state_array(state, "boxes", np.float32, (len(poses._ids), 4))
            poses._points = state_array(state, "points", np.float32, (len(poses._ids), None, 3))
        return poses


def _moved(points: Float32Array, before: Float32Array, boxes: Float32Array) -> Float32Array:
    """Return `points` (M, K, 3) of objects that were in the boxes `before` (M, 4) where they are in `boxes` (M, 4)."""
    sizes, were = ((each[:, 2:] - each[:, :2])[:, None] for each in (boxes, before))
    scale = sizes / np.maximum(were, 1e-3)
    moved = points.copy()
    # p' = c' + s (p - c)
    moved[:, :, :2] = _centres(boxes)[:, None] + scale * (points[:, :, :2] - _centres(before)[:, None])
    return moved


def _centres(boxes: Float32Array) -> Float32Array:
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2, np.float32)


class ShownClass:
    """The class of whole images that is shown, which does not change with every frame.

    The first frame's best class is shown at once. Another one replaces it when its mean probability over the last
    `MEAN_S` has been the highest for `LEAD_S`, both in time of the video.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[float, Float32Array]] = deque()
        self._class_id = self._leader = _NO_CLASS
        self._since_s = 0.0  # when the leader took the lead

    def update(self, probabilities: Float32Array, time_s: float) -> tuple[int, float]:
        """Add the `probabilities` f32 (C,) of a frame; return the class that is shown and its mean probability."""
        if self._recent and len(self._recent[0][1]) != len(probabilities):
            self._recent.clear()
        self._recent.append((time_s, probabilities))
        while self._recent[0][0] <= time_s - MEAN_S + _EXACT_S:
            self._recent.popleft()
        means = np.asarray(np.mean([each for _, each in self._recent], axis=0, dtype=np.float64))
        leader = int(means.argmax())
        if leader != self._leader:
            self._leader, self._since_s = leader, time_s
        if self._class_id == _NO_CLASS or time_s - self._since_s >= LEAD_S - _EXACT_S:
            self._class_id = leader
        return self._class_id, float(means[self._class_id])

    def shift(self, by_s: float) -> None:
        """Add `by_s` to all times."""
        self._recent = deque((time_s + by_s, each) for time_s, each in self._recent)
        self._since_s += by_s

    def state(self) -> Arrays:
        """Return the recent `probabilities` f32 (F, C) and their `times_s` f64 (F,), and who leads since when.

        Nothing before the first frame.
        """
        if not self._recent:
            return {}
        return {
            "times_s": np.array([time_s for time_s, _ in self._recent]),
            "probabilities": np.array([each for _, each in self._recent]),
            "shown_leader": np.array([self._class_id, self._leader]),
            "since_s": np.array([self._since_s]),
        }

    @classmethod
    def from_state(cls, state: Arrays) -> Self:
        """Return the shown class with this `state`; raises ValueError if it is invalid."""
        shown = cls()
        if state:
            times_s = state_array(state, "times_s", np.float64, (None,)).tolist()
            probabilities = state_array(state, "probabilities", np.float32, (len(times_s), None))
            pair = state_array(state, "shown_leader", np.int64, (2,))
            if not ((pair >= 0) & (pair < probabilities.shape[1])).all():
                raise ValueError(f"expected the state of a run, found the class {pair.tolist()} of none")
            shown._recent = deque(zip(times_s, probabilities, strict=True))
            shown._class_id, shown._leader = pair.tolist()
            shown._since_s = float(state_array(state, "since_s", np.float64, (1,))[0])
        return shown
