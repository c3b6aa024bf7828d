"""The result of the pipeline for one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streamdet.arrays import Value, frozen
from streamdet.draw import draw_tracks
from streamdet.trails import Trail
from streamdet.types import Detections, Frame, Tracks, UInt8Array

if TYPE_CHECKING:
    from trackers.tracker import Decisions


@dataclass(frozen=True, slots=True, eq=False)
class Result(Value):
    """One frame with its detections and tracks.

    - `class_names[class_id]` is the name of a class.
    - `trails` maps the ids of `tracks` to their recent ground points f32 (n, 2) in px, oldest first.
    - `camera_motion` is the affine transform f64 (2, 3) in px from the previous frame, None if it was not estimated.
    - `decisions` are the tracker's reasons for `tracks`, None if it does not explain.
    - `drawing` is the image that `draw` returns, None if the run has not drawn it.
    """

    frame: Frame
    detections: Detections
    tracks: Tracks
    class_names: Sequence[str]
    trails: Mapping[int, Trail]
    camera_motion: npt.NDArray[np.float64] | None = None
    decisions: Decisions | None = None
    drawing: UInt8Array | None = None

    def __post_init__(self) -> None:
        trails = {track_id: frozen("trails", trail, np.float32, (None, 2)) for track_id, trail in self.trails.items()}
        object.__setattr__(self, "trails", trails)
        if self.camera_motion is not None:
            object.__setattr__(self, "camera_motion", frozen("camera_motion", self.camera_motion, np.float64, (2, 3)))

    def draw(self) -> UInt8Array:
        """Return the frame with its tracks drawn on it, uint8 (H, W, 3) RGB."""
        if self.drawing is not None:
            return self.drawing
        return draw_tracks(self.frame.image, self.tracks, self.class_names, self.trails)
