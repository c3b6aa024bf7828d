"""Frames and detections in, tracks out: a tracker of the package `trackers`, a clock and what it sees of the image."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from streamdet.appearance import AppearanceModel
from streamdet.camera_motion.estimator import CameraMotion, KeyFrame
from streamdet.errors import InputError
from streamdet.tracking.config import load_appearance, load_camera_motion, read_tracker
from streamdet.tracking.state import Instant, MediaClock, RunState, StateFile, read_state
from streamdet.trails import Trail, Trails
from streamdet.types import Arrays, Detections, Float32Array, Frame, Tracks, remembered
from trackers.config import TrackerConfig
from trackers.tracker import Decisions
from trackers.types import Embed, FloatArray, IntArray
from trackers.types import Tracks as TrackerTracks

DEFAULT_RATE_HZ = 30.0
# A tracker is many short calls into NumPy: two that run at once take the interpreter from each other at each of them.
_ONE_AT_A_TIME = threading.Lock()


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
        self.trails: Mapping[int, Trail] = {}
        self._tracker = config.build(self.rate_hz)
        self._tracker.explains = explains
        self._camera = camera
        self._appearance = appearance
        self._nominal_rate = Fraction(frame_rate) if frame_rate else None
        self._clock: MediaClock | None = None  # before the first update
        self._moved = np.eye(3)  # by the camera, since the last update
        self._boxes = np.zeros((0, 4), np.float32)  # of the last update
        self._trails = Trails()
        self._state_file: StateFile | None = None
        self._between_frames = threading.Lock()

    @property
    def decisions(self) -> Decisions | None:
        """Why the last frame came out as it did; None unless the tracker explains."""
        return self._tracker.decisions

    def remember(self, path: Path, class_names: Sequence[str], *, live: bool) -> None:
        """Go on where the state in the file at `path` ends, if there is one, and keep it up to date from now on.

        `class_names` are those of the model; for `live`, and for what is refused, see `restore`. Raises InputError,
        before anything is written, also when the file holds no state, or cannot be written.
        """
        state = read_state(path)
        if state is not None:
            state.check(self.config.kind, class_names, f" in {path}")
            try:
                self.restore(state, class_names, live=live)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
        self._state_file = StateFile(path, partial(self.state, class_names))

    def state(self, class_names: Sequence[str]) -> RunState:
        """Return all that is remembered between two frames; `class_names` are those of the model.

        May be called from any thread: an update that is going on is waited for.
        """
        with self._between_frames:
            return RunState(
                kind=self.config.kind,
                class_names=tuple(class_names),
                saved_at_unix_s=time.time(),
                clock=self._clock,
                tracker=self._tracker.state(),
                camera_motion=self._camera_state(),
                trails=self._trails.state(),
            )

    def restore(self, state: RunState, class_names: Sequence[str], *, live: bool = False) -> None:
        """Go on where a tracker like this one was when it gave `state`.

        The next frame of the same source, if it is later, gives what it would have given there; one of another source
        counts as the next. A `live` camera has moved on meanwhile, and tracks have grown older. Raises InputError for
        the state of another kind of tracker or model; everything is then as it was.
        """
        state.check(self.config.kind, class_names)
        with self._between_frames:
            try:
                self._take(state)
            except ValueError as error:
                raise InputError(str(error)) from None
            if live:
                self._grow_older(max(time.time() - state.saved_at_unix_s, 0.0))

    def update(self, frame: Frame, detections: Detections) -> Tracks:
        """Return the tracks of the next frame; its timestamp tells how long it is after the one before."""
        height_px, width_px = frame.image.shape[:2]
        with self._between_frames:
            elapsed = self._elapsed(frame)
            self._clock = MediaClock(frame.source_id, updated=Instant.of(frame), shown=Instant.of(frame))
            moved, self._moved = self._move(frame, detections.boxes), np.eye(3)
            self._boxes = detections.boxes
            with _ONE_AT_A_TIME:
                found = self._tracker.update(
                    detections.boxes,
                    detections.scores,
                    detections.class_ids,
                    elapsed=elapsed,
                    camera_motion=moved,
                    features=self._looks(frame, detections),
                    image_size=(width_px, height_px),
                )
            tracks = self._shown(frame, found)
        if self._state_file:
            self._state_file.keep(tracks.ids)
        return tracks

    def expect(self, frame: Frame) -> Tracks:
        """Return where the tracks of the last update are expected in a frame that nobody detected in."""
        with self._between_frames:
            elapsed, moved = self._elapsed(frame), self._move(frame, self._boxes)
            self._clock = self._clock and replace(self._clock, shown=Instant.of(frame))
            return self._shown(frame, self._tracker.expected(elapsed=elapsed, camera_motion=moved))

    def close(self) -> None:
        """Save the state, if it is kept; raises OutputError when the disk does not take it."""
        if self._state_file:
            self._state_file.save()

    def _camera_state(self) -> Arrays:
        """Return the key frame, the camera's motion since the last update, and the boxes of that."""
        if self._camera is None:
            return {}
        key = self._camera.key.state() if self._camera.key else {}
        return {"moved": self._moved, "boxes": self._boxes, **key}

    def _take(self, state: RunState) -> None:
        """Take over `state`; raises ValueError, and takes nothing, if one of its sections is none."""
        camera = state.camera_motion
        moved, boxes, key = np.eye(3), np.zeros((0, 4), np.float32), None
        if camera:
            moved = remembered(camera, "moved", np.float64, (3, 3))
            boxes = remembered(camera, "boxes", np.float32, (None, 4))
            key = KeyFrame.restored(camera) if "image_hw" in camera else None
        trails = Trails.restored(state.trails)
        self._tracker.restore(state.tracker)
        self._clock, self._moved, self._boxes, self._trails = state.clock, moved, boxes, trails
        if self._camera is not None:
            self._camera.restore(key)

    def _grow_older(self, age_s: float) -> None:
        """Let `age_s` pass in which nobody was seen; what comes next is another recording of the same scene."""
        if age_s:
            self._tracker.update([], [], [], elapsed=age_s * self.rate_hz)
            self._trails.shift(-age_s)
        self._clock = self._clock and replace(self._clock, source_id=None)

    def _looks(self, frame: Frame, detections: Detections) -> Embed | None:
        """Return the function that the tracker, while it updates, asks what detections look like."""
        model = self._appearance
        if model is None:
            return None

        def embed(rows: IntArray) -> Float32Array:
            # A network computes without the interpreter: other trackers go on meanwhile.
            _ONE_AT_A_TIME.release()
            try:
                return model.embed(frame.image, detections.boxes[rows])
            finally:
                _ONE_AT_A_TIME.acquire()

        return embed

    def _move(self, frame: Frame, boxes: Float32Array) -> FloatArray | None:
        """Return how the camera moved since the last update, (2, 3); in `boxes` (N, 4) things move on their own."""
        if self._camera is None:
            return None
        self.camera_motion = self._camera.estimate(frame.image, boxes)
        self._moved = np.vstack([self.camera_motion, (0, 0, 1)]) @ self._moved
        return self._moved[:2]

    def _elapsed(self, frame: Frame) -> float:
        """Return the time since the last update in nominal frame periods; another source follows by one period."""
        if self._clock is None:
            return 1.0
        if not self._clock.goes_on(frame):
            clock = self._clock.before(frame, 1 / (self._nominal_rate or Fraction(DEFAULT_RATE_HZ)))
            self._trails.shift(float(clock.shown.time - self._clock.shown.time))
            self._clock = clock
        return self._clock.elapsed(frame, self._nominal_rate)

    def _shown(self, frame: Frame, found: TrackerTracks) -> Tracks:
        tracks = Tracks(
            ids=found.ids,
            boxes=found.boxes.astype(np.float32),
            scores=found.scores.astype(np.float32),
            class_ids=found.class_ids,
            detection_index=found.detection_index,
        )
        self.trails = self._trails.update(tracks, float(frame.time))
        return tracks


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
