"""The step of a run from what was detected in a frame to its tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamdet.result import Result
from streamdet.tracking.frame_tracker import FrameTracker
from streamdet.types import Detections, Frame

NOTHING = Detections([], [], [])  # type: ignore[arg-type]


class TrackStep:
    """Makes the results of one video, frame by frame; `class_names` are those of the detections."""

    def __init__(self, tracker: FrameTracker, class_names: Sequence[str]) -> None:
        self._tracker, self._class_names = tracker, class_names

    def __call__(self, frame: Frame, detections: Detections | None) -> Result:
        """Return the result of the next frame; where it was not detected in, None, its tracks are predicted."""
        tracker = self._tracker
        if detections is None:
            detections, tracks, decisions = NOTHING, tracker.expect(frame), None
        else:
            tracks, decisions = tracker.update(frame, detections), tracker.decisions
        # Results that are kept must not keep the memory of a GPU.
        shown = frame if frame.on_device is None else replace(frame, on_device=None)
        return Result(shown, detections, tracks, self._class_names, tracker.trails, tracker.camera_motion, decisions)
