"""Frames and detections in, tracks out: a tracker of the package `trackers` in a video.

The tracker itself knows neither timestamps nor images. `FrameTracker` derives the elapsed time, the camera's motion and
the appearance of detections from the frames, and saves and restores the whole state.
"""

from __future__ import annotations

import os
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
from streamdet.options import TrackerOptions
from streamdet.rows import ImageClass
from streamdet.tracking.config import load_appearance, load_camera_motion, read_tracker
from streamdet.tracking.stages import ResultStages
from streamdet.tracking.state import Instant, MediaClock, RunState, StateFile, read_state
from streamdet.trails import Trail
from streamdet.types import Arrays, Detections, Float32Array, Frame, Tracks, state_array
from trackers.appearance import AppearanceSamples
from trackers.config import TrackerConfig
from trackers.decisions import Decisions
from trackers.types import Embed, FloatArray, IntArray

DEFAULT_RATE_HZ = 30.0
# An update is many short calls into NumPy: two updates in parallel would contend for the interpreter at each of them.
_one_at_a_time = threading.Lock()


def _renew_lock() -> None:
    """Forget in a forked child that a thread of the parent, which does not exist here, may hold the lock."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class FrameTracker:
    """A tracker of the detections of one video; each video needs one of its own.

    - `config`: the kind of tracker and its settings.
    - `frame_rate`: the nominal rate in Hz, None when unknown; the times of frames are used in either case.
    - `camera`: the estimator of the camera's motion, None for a static camera.
    - `appearance`: the model that computes the features of detections, None for a tracker without appearance.
    - `explains`: keep the `decisions` of each frame.

    After each frame, `camera_motion` is the affine (2, 3) in px from the last frame to it, None without `camera`.
    `samples`, if set, collects the features of tracks that were computed, by frames counted from 1.
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
        self._rate = Fraction(frame_rate or DEFAULT_RATE_HZ)
        self.rate_hz = float(self._rate)
        self.camera_motion: FloatArray | None = None
        self.samples: AppearanceSamples | None = None
        self._tracker = config.build(self.rate_hz)
        self._tracker.explains = explains
        self._camera = camera
        self._appearance = appearance
        self._clock: MediaClock | None = None  # None before the first update
        self._image_hw: tuple[int, int] | None = None  # of the last frame
        self._moved = np.eye(3)  # the motion of the camera since the last update
        self._boxes = np.zeros((0, 4), np.float32)  # of the last update
        self._stages = ResultStages()
        self._state_file: StateFile | None = None
        self._between_frames = threading.Lock()

    @property
    def decisions(self) -> Decisions | None:
        """The tracker's decisions in the last frame; None unless it explains."""
        return self._tracker.decisions

    @property
    def trails(self) -> Mapping[int, Trail]:
        """The trails of the tracks in the last frame, by id."""
        return self._stages.trails

    @property
    def image_class(self) -> ImageClass | None:
        """The class of the image that is shown, None unless the model classifies."""
        return self._stages.image_class

    def remember(self, path: Path, class_names: Sequence[str], *, live: bool) -> None:
        """Continue from the state in the file at `path`, if there is one, and keep the file up to date from now on.

        `class_names` are those of the model; `live` is as for `restore`. Raises InputError, before anything is written,
        as `restore` does, and when the file holds no state or cannot be written.
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
        """Return the whole state between two frames; `class_names` are those of the model.

        May be called from any thread; waits for an update in progress.
        """
        with self._between_frames:
            trails, stages = self._stages.state()
            return RunState(
                kind=self.config.kind,
                class_names=tuple(class_names),
                saved_at_unix_s=time.time(),
                clock=self._clock,
                tracker=self._tracker.state(),
                camera_motion=self._camera_state(),
                trails=trails,
                stages=stages,
            )

    def restore(self, state: RunState, class_names: Sequence[str], *, live: bool = False) -> None:
        """Continue from `state`, which a tracker of the same kind returned.

        A later frame of the same source gives the same result as if tracking had not been interrupted; a frame of
        another source counts as the next one. With `live`, the tracks age by the time since the state was saved. Raises
        InputError for the state of another kind of tracker or model; the tracker is then unchanged.
        """
        state.check(self.config.kind, class_names)
        with self._between_frames:
            try:
                self._set_state(state)
            except ValueError as error:
                raise InputError(str(error)) from None
            if live:
                self._let_pass(max(time.time() - state.saved_at_unix_s, 0.0))

    def update(self, frame: Frame, detections: Detections) -> Tracks:
        """Return the tracks of the next frame, given its detections."""
        height_px, width_px = frame.image.shape[:2]
        with self._between_frames:
            elapsed = self._elapsed(frame)
            now = Instant.from_frame(frame)
            self._clock = MediaClock(frame.source_id, updated=now, shown=now)
            moved, self._moved = self._motion_since_update(frame, detections.boxes), np.eye(3)
            self._boxes, embedded = detections.boxes, dict[int, Float32Array]()
            with _one_at_a_time:
                found = self._tracker.update(
                    detections.boxes if detections.rotated is None else detections.rotated,
                    detections.scores,
                    detections.class_ids,
                    elapsed=elapsed,
                    camera_motion=moved,
                    features=self._embed(frame, detections, embedded),
                    image_size=(width_px, height_px),
                )
            if self.samples is not None:
                self.samples.add(frame.index + 1, found.ids, map(embedded.get, found.detection_index.tolist()))
            tracks = self._stages.tracks(found, detections, detections.class_names, float(frame.time))
        if self._state_file:
            self._state_file.keep(tracks.ids)
        return tracks

    def expect(self, frame: Frame, class_names: Sequence[str] = ()) -> Tracks:
        """Return the tracks of the last update as predicted for a frame without detection."""
        with self._between_frames:
            elapsed, moved = self._elapsed(frame), self._motion_since_update(frame, self._boxes)
            self._clock = self._clock and replace(self._clock, shown=Instant.from_frame(frame))
            expected = self._tracker.expected(elapsed=elapsed, camera_motion=moved)
            return self._stages.tracks(expected, None, class_names, float(frame.time))

    def close(self) -> None:
        """Save the state, if `remember` was called; raises OutputError when the file cannot be written."""
        if self._state_file:
            self._state_file.save()

    def _camera_state(self) -> Arrays:
        """Return the key frame, the camera's motion since the last update, and the boxes of the last update."""
        if self._camera is None:
            return {}
        key = self._camera.key.state() if self._camera.key else {}
        return {"moved": self._moved, "boxes": self._boxes, **key}

    def _set_state(self, state: RunState) -> None:
        """Replace the state; raises ValueError, and changes nothing, if a section of `state` does not fit."""
        camera = state.camera_motion
        moved, boxes, key = np.eye(3), np.zeros((0, 4), np.float32), None
        if camera:
            moved = state_array(camera, "moved", np.float64, (3, 3))
            boxes = state_array(camera, "boxes", np.float32, (None, 4))
            key = KeyFrame.from_state(camera) if "image_hw" in camera else None
        stages = ResultStages.from_state(state.trails, state.stages)
        dimension = self._appearance.dimension if self._appearance else None
        self._tracker.restore(state.tracker, feature_length=dimension)
        self._clock, self._moved, self._boxes, self._stages = state.clock, moved, boxes, stages
        if self._camera is not None:
            self._camera.restore(key)

    def _let_pass(self, age_s: float) -> None:
        """Age the tracks by `age_s` without detections; the next frame counts as one of another source."""
        if age_s:
            self._tracker.update([], [], [], elapsed=age_s * self.rate_hz)
            self._stages.shift(-age_s)
        self._clock = self._clock and replace(self._clock, source_id=None)

    def _embed(self, frame: Frame, detections: Detections, embedded: dict[int, Float32Array]) -> Embed | None:
        """Return the function that computes features, and adds them to `embedded` by row; None without a model."""
        model = self._appearance
        if model is None:
            return None

        def embed(rows: IntArray) -> Float32Array:
            # The network runs without the interpreter, so that other trackers can continue meanwhile.
            _one_at_a_time.release()
            try:
                features = model.embed(frame.image, detections.boxes[rows])
            finally:
                _one_at_a_time.acquire()
            embedded.update(zip(rows.tolist(), features, strict=True))
            return features

        return embed

    def _motion_since_update(self, frame: Frame, boxes: Float32Array) -> FloatArray | None:
        """Return the camera's motion (2, 3) since the last update; `boxes` (N, 4) are those of objects in the frame.

        Pictures of another size are a zoom: a camera that changes its resolution shows the same scene. Where it changes
        the aspect ratio as well, sizes of tracks follow by the mean of both sides.
        """
        height_px, width_px = frame.image.shape[:2]
        before_hw, self._image_hw = self._image_hw or (height_px, width_px), (height_px, width_px)
        if before_hw != self._image_hw:
            zoom = width_px / before_hw[1], height_px / before_hw[0]
            self._moved = np.diag([*zoom, 1.0]) @ self._moved
            self._stages.scale(*zoom)
        if self._camera is None:
            return None if np.array_equal(self._moved, np.eye(3)) else self._moved[:2]
        self.camera_motion = self._camera.estimate(frame.image, boxes)
        self._moved = np.vstack([self.camera_motion, (0, 0, 1)]) @ self._moved
        return self._moved[:2]

    def _elapsed(self, frame: Frame) -> float:
        """Return the time since the last update in nominal frame periods; a frame of another source follows by one."""
        if self._clock is None:
            return 1.0
        if not self._clock.is_followed_by(frame):
            clock = self._clock.shifted_before(frame, 1 / self._rate)
            self._stages.shift(float(clock.shown.time - self._clock.shown.time))
            self._clock = clock
        return self._clock.elapsed(frame, self._rate)


def load_tracker(
    name_or_path: str | Path = TrackerOptions.tracker,
    frame_rate: Fraction | float | None = None,
    *,
    reid: str | Path | None = None,
    explains: bool = False,
) -> FrameTracker:
    """Return a new tracker for a video of the nominal `frame_rate` in Hz, None when unknown.

    ```python
    import numpy as np
    from streamdet import Detections, Frame, load_tracker

    tracker, black = load_tracker("bytetrack"), np.zeros((480, 640, 3), np.uint8)
    for k in range(3):
        found = Detections([[9 * k, 20, 60 + 9 * k, 200]], [0.9], [0])
        for track in tracker.update(Frame.from_image(black, time=k / 25), found):
            print(track.id, track.box)
    ```

    Frames tell how much time passes. A tracker whose paper states the motion per frame, any but streamsort, takes the
    nominal rate for it, 30 Hz when unknown.

    `name_or_path` is a tracker's name or a YAML file, with our keys or those of ultralytics; `reid` is the file of an
    appearance model; with `explains`, the tracker keeps the `decisions` of each frame. Raises InputError when a file
    cannot be read, and for an unknown key or a value that cannot be used.
    """
    config = read_tracker(name_or_path)
    try:
        camera, appearance = load_camera_motion(config), load_appearance(config, reid)
    except ValueError as error:
        raise InputError(f"{name_or_path}: {error}") from None
    return FrameTracker(config, frame_rate, camera, appearance, explains=explains)
