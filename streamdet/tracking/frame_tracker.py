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
from streamdet.types import Detections, Frame, Tracks
from trackers.appearance import Embed
from trackers.config import TrackerConfig
from trackers.rows import FloatArray
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
        self._rate_hz = Fraction(frame_rate) if frame_rate else None
        self._last: tuple[Fraction, int] | None = None
        self._state_file: StateFile | None = None

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
        self.camera_motion = self._camera.estimate(frame.image, detections.boxes) if self._camera else None
        tracks = self._tracker.update(
            detections.boxes,
            detections.scores,
            detections.class_ids,
            elapsed=self._elapsed(frame),
            camera_motion=self.camera_motion,
            features=self._looks(frame, detections),
            image_size=(width_px, height_px),
        )
        if self._state_file:
            self._state_file.keep(tracks.ids)
        return Tracks(
            ids=tracks.ids,
            boxes=tracks.boxes.astype(np.float32),
            scores=tracks.scores.astype(np.float32),
            class_ids=tracks.class_ids,
            detection_index=tracks.detection_index,
        )

    def close(self) -> None:
        """Save the state, if it is kept; raises StreamdetError when the disk does not take it."""
        if self._state_file:
            self._state_file.save()

    def _looks(self, frame: Frame, detections: Detections) -> Embed | None:
        """Return the function that the tracker asks what detections look like."""
        model = self._appearance
        return (lambda rows: model.embed(frame.image, detections.boxes[rows])) if model else None

    def _elapsed(self, frame: Frame) -> float:
        """Return the time since the last frame in nominal frame periods.

        Without a nominal rate, or when the clock stood still or jumped back (a stream that starts over), frames are
        counted instead.
        """
        last, self._last = self._last, (frame.time, frame.index)
        if last is None:
            return 1.0
        time_s, index = last
        periods = (frame.time - time_s) * (self._rate_hz or 0)
        return float(periods) if periods > 0 else float(max(frame.index - index, 1))


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
