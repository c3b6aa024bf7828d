"""Frames and detections in, tracks out: a tracker of the package `trackers`, a clock and what it sees of the image."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from streamdet.appearance.model import AppearanceModel
from streamdet.camera_motion.estimator import CameraMotion
from streamdet.errors import InputError
from streamdet.tracking.config import read_tracker
from streamdet.tracking.image_options import load_appearance, load_camera_motion
from streamdet.tracking.state_file import StateFile
from streamdet.types import Detections, Float32Array, Frame, Tracks
from trackers.appearance import Embed
from trackers.config import TrackerConfig
from trackers.rows import FloatArray
from trackers.rows import Tracks as TrackerTracks
from trackers.tracker import Decisions

DEFAULT_RATE_HZ = 30.0


class FrameTracker:
    """Follows the detections of one video; each video needs a tracker of its own.

    `config` says which tracker; `frame_rate` is nominal, in Hz, None when unknown; `camera` estimates the camera's
    motion and `appearance` describes what boxes show, None leaves them out; with `explains`, `decisions` are kept.
    """

    def __init__(
        self,
        config: TrackerConfig,
        frame_rate: Fraction | float | None,
        camera: CameraMotion | None = None,
        appearance: AppearanceModel | None = None,
        *,
        explains: bool = False,
    ) -> None:
        self.config = config
        self.rate_hz = float(frame_rate or DEFAULT_RATE_HZ)
        self.camera_motion: FloatArray | None = None
        self._tracker = config.build(self.rate_hz)
        self._tracker.explains = explains
        self._camera = camera
        self._appearance = appearance
        self._nominal_rate = Fraction(frame_rate) if frame_rate else None
        self._last: tuple[Fraction, int] | None = None
        self._moved = np.eye(3)  # by the camera, since the tracker's last update
        self._state_file: StateFile | None = None
        self._boxes = np.zeros((0, 4), np.float32)  # of the last update

    @property
    def decisions(self) -> Decisions | None:
        """Why the last frame came out as it did; None unless the tracker explains."""
        return self._tracker.decisions

    def remember(self, path: Path, *, live: bool) -> None:
        """Go on where the state in the file at `path` ends, if there is one, and keep it up to date from now on.

        A `live` camera has moved on meanwhile; in a recording the next part follows. Raises InputError when it is the
        state of another tracker, or no state, or cannot be written.
        """
        self._state_file = StateFile(path, self._tracker, self.config.kind)
        if live and self._state_file.age_s:
            self._tracker.update([], [], [], elapsed=self._state_file.age_s * self.rate_hz)

    def update(self, frame: Frame, detections: Detections) -> Tracks:
        """Return the tracks of the next frame; its timestamp tells how long it is after the one before."""
        height_px, width_px = frame.image.shape[:2]
        elapsed, self._last = self._elapsed(frame), (frame.time, frame.index)
        moved, self._moved = self._move(frame, detections.boxes), np.eye(3)
        tracks = self._tracker.update(
            detections.boxes,
            detections.scores,
            detections.class_ids,
            elapsed=elapsed,
            camera_motion=moved,
            features=self._looks(frame, detections),
            image_size=(width_px, height_px),
        )
        if self._state_file:
            self._state_file.keep(tracks.ids)
        self._boxes = detections.boxes
        return _tracks(tracks)

    def expect(self, frame: Frame) -> Tracks:
        """Return where the tracks of the last update are expected in a frame that nobody detected in."""
        moved = self._move(frame, self._boxes)
        return _tracks(self._tracker.expected(elapsed=self._elapsed(frame), camera_motion=moved))

    def close(self) -> None:
        """Save the state, if it is kept; raises StreamdetError when the disk does not take it."""
        if self._state_file:
            self._state_file.save()

    def _looks(self, frame: Frame, detections: Detections) -> Embed | None:
        """Return the function that the tracker asks what detections look like."""
        model = self._appearance
        return (lambda rows: model.embed(frame.image, detections.boxes[rows])) if model else None

    def _move(self, frame: Frame, boxes: Float32Array) -> FloatArray | None:
        """Return how the camera moved since the last update, (2, 3); in `boxes` (N, 4) things move on their own."""
        if self._camera is None:
            return None
        self.camera_motion = self._camera.estimate(frame.image, boxes)
        self._moved = np.vstack([self.camera_motion, (0, 0, 1)]) @ self._moved
        return self._moved[:2]

    def _elapsed(self, frame: Frame) -> float:
        """Return the time since the last update in nominal frame periods.

        Without a nominal rate, or when the clock stood still or jumped back (a stream that starts over), frames are
        counted instead.
        """
        if self._last is None:
            return 1.0
        time_s, index = self._last
        periods = (frame.time - time_s) * (self._nominal_rate or 0)
        return float(periods) if periods > 0 else float(max(frame.index - index, 1))


def _tracks(found: TrackerTracks) -> Tracks:
    return Tracks(
        ids=found.ids,
        boxes=found.boxes.astype(np.float32),
        scores=found.scores.astype(np.float32),
        class_ids=found.class_ids,
        detection_index=found.detection_index,
    )


def load_tracker(
    spec: str | Path,
    frame_rate: Fraction | float | None,
    *,
    reid: str | Path | None = None,
    explains: bool = False,
) -> FrameTracker:
    """Return a new tracker for a video of the nominal `frame_rate` in Hz, None when unknown.

    `spec` is a tracker's name or a YAML file, with our keys or ultralytics' own; `reid` is the file of an
    appearance model; if it `explains`, the tracker keeps the `decisions` of each frame. Raises InputError when a file
    cannot be read, and on a key or a value that is not known.
    """
    config = read_tracker(spec)
    try:
        camera, looks = load_camera_motion(config), load_appearance(config, reid)
    except ValueError as error:
        raise InputError(f"{spec}: {error}") from None
    return FrameTracker(config, frame_rate, camera, looks, explains=explains)
