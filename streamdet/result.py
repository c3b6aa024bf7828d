"""The result of the pipeline for one frame, and how it shows itself: as a line, a picture, an image file, a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.arrays import Value, frozen
from streamdet.draw import draw_tracks
from streamdet.errors import InputError, MissingExtraError, OutputError, shown
from streamdet.files import replacing, user_path
from streamdet.options import Order
from streamdet.pixels import in_order
from streamdet.rows import ImageClass, added_columns, class_name
from streamdet.trails import Trail
from streamdet.types import Detections, Frame, Tracks, UInt8Array

if TYPE_CHECKING:
    import supervision

    from trackers.decisions import Decisions

IMAGE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
NOTEBOOK_PX = 960  # longer side of the picture in a notebook, which is stored in it


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result(Value):
    """One frame with its detections and tracks.

    - `class_names[class_id]` is the name of a class.
    - `trails` maps the ids of `tracks` to their recent ground points f32 (n, 2) in px, oldest first.
    - `camera_motion` is the affine transform f64 (2, 3) in px from the previous frame, None if it was not estimated.
    - `decisions` are the tracker's reasons for `tracks`, None if it does not explain.
    - `drawing` is the image that `draw` returns, None if the run has not drawn it.
    - `image_class` is the class of the whole image that is shown, None unless the model classifies. It follows
      `detections.probabilities` slowly: another class is shown once its mean over 1 s has been the highest for 0.5 s.
    """

    frame: Frame
    detections: Detections
    tracks: Tracks
    class_names: Sequence[str]
    trails: Mapping[int, Trail]
    camera_motion: npt.NDArray[np.float64] | None = None
    decisions: Decisions | None = None
    drawing: UInt8Array | None = None
    image_class: ImageClass | None = None

    def __post_init__(self) -> None:
        trails = {track_id: frozen("trails", trail, np.float32, (None, 2)) for track_id, trail in self.trails.items()}
        object.__setattr__(self, "trails", trails)
        if self.camera_motion is not None:
            object.__setattr__(self, "camera_motion", frozen("camera_motion", self.camera_motion, np.float64, (2, 3)))

    def __repr__(self) -> str:
        found = self.tracks.counts(self.class_names) or "no tracks"
        if self.image_class:
            found = f"{self.image_class.class_name} {self.image_class.probability:.2f}"
        return f"Result(frame {self.frame.index} at {float(self.frame.time):.3f} s: {found})"

    def draw(self, order: Order = "rgb") -> UInt8Array:
        """Return the frame with its tracks drawn on it, uint8 (H, W, 3), with its channels in `order`.

        It may be drawn on further. A run with the option `draw` has made it before: then each call returns the same
        array, otherwise a new one.
        """
        picture = self.drawing
        if picture is None:
            shown = self.trails, self.detections.masks, self.image_class
            picture = draw_tracks(self.frame.image, self.tracks, self.class_names, *shown)
        return in_order(picture, order)

    def save(self, path: str | Path) -> None:
        """Write what `draw` returns to an image file, one of `IMAGE_ENDINGS`; an existing file is replaced.

        Raises InputError for another ending, and OutputError when the file cannot be written.
        """
        path = user_path(path)
        if path.suffix.lower() not in IMAGE_ENDINGS:
            raise InputError(f"expected an image file ending in {', '.join(IMAGE_ENDINGS)}, found {shown(path.name)}")
        content = _encoded(self.draw(), path.suffix.lower())
        try:
            with replacing(path) as partial:
                partial.write_bytes(content)
        except OSError as error:
            raise OutputError(f"expected to write {path}, but {(error.strerror or str(error)).lower()}") from None

    def to_supervision(self) -> supervision.Detections:
        """Return the tracks as `Tracks.to_supervision` does, with the masks of their detections, if these have any.

        The `mask`, bool (M, H, W), of a track without a detection in this frame is empty.
        """
        shown, masks = self.tracks.to_supervision(), self.detections.masks
        if masks is not None:
            shown.mask = masks.to_images(self.tracks.detection_index.tolist())
        return shown

    def to_dataframe(self) -> Any:
        """Return the tracks as a data frame, see `tracks_table`."""
        return tracks_table([self])

    def _repr_png_(self) -> bytes:
        """Return the picture that a notebook shows."""
        image = self.draw()
        height, width = image.shape[:2]
        scale = min(NOTEBOOK_PX / max(height, width), 1)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        return _encoded(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), ".png")


def tracks_table(results: Iterable[Result]) -> Any:
    """Return the tracks of `results` as a data frame of pandas or, where that is not installed, of polars.

    Each row is a track in a frame, with the columns of the CSV files: frame, from 0; time_s; id; x1, y1, x2, y2 in px;
    score; class_id; class_name; predicted; then those of `added_columns`. Raises MissingExtraError where neither
    package is installed.
    """
    frame_type = _data_frame_type()
    parts = [_columns(each.tracks, each.class_names, each.frame.index, float(each.frame.time)) for each in results]
    parts = parts or [_columns(Tracks([], [], [], [], []), (), 0, 0.0)]
    return frame_type({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _columns(tracks: Tracks, class_names: Sequence[str], index: int, time_s: float) -> dict[str, npt.NDArray[Any]]:
    return {
        "frame": np.full(len(tracks), index),
        "time_s": np.full(len(tracks), time_s),
        "id": tracks.ids,
        **dict(zip(("x1", "y1", "x2", "y2"), tracks.boxes.T, strict=True)),
        "score": tracks.scores,
        "class_id": tracks.class_ids,
        "class_name": np.array([class_name(class_id, class_names) for class_id in tracks.class_ids.tolist()], str),
        "predicted": tracks.detection_index < 0,
        **added_columns(tracks.keypoints, tracks.rotated),
    }


def _data_frame_type() -> Any:
    for package in ("pandas", "polars"):
        try:
            return import_module(package).DataFrame
        except ImportError:
            continue
    raise MissingExtraError("pandas", "interop")


def _encoded(image: UInt8Array, ending: str) -> bytes:
    """Return `image`, uint8 (H, W, 3) RGB, as the content of an image file."""
    _, content = cv2.imencode(ending, in_order(image, "bgr"))
    return content.tobytes()
