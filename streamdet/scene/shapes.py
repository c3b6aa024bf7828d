"""What a silhouette alone does not say: the joints of persons, and which way vehicles point."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.scene.camera import Camera
from streamdet.scene.figures import SILHOUETTE, Figure, Placement, Sprite
from streamdet.scene.people import Person
from streamdet.scene.pose import JOINTS
from streamdet.types import Float32Array, Float64Array

# COCO's flags of a key point.
_NOT_LABELLED, _HIDDEN, _SEEN = 0, 1, 2


def keypoints(figure: Figure, placement: Placement, camera: Camera, seen: npt.NDArray[np.bool_]) -> Float32Array:
    """Return the joints (17, 3) of `figure`, x and y in px and COCO's flag, whose visible pixels are `seen` (H, W).

    A joint is hidden where something else is seen, and one of the face also on the far side of the head; a limb that
    is hidden by the body of the same person counts as seen. Outside of the image, and for anything but a person, a row
    is zero.
    """
    points = np.zeros((JOINTS, 3), np.float32)
    if not isinstance(figure, Person):
        return points
    places, faces_camera = figure.joints(placement, camera.position)
    px, _ = camera.project(places)
    columns, rows = np.floor(px).astype(int).T
    inside = (px >= 0).all(axis=1) & (px < np.array(seen.shape[::-1])).all(axis=1)
    shown = faces_camera & inside
    shown[inside] &= seen[rows[inside], columns[inside]]
    points[inside, :2] = px[inside]
    points[:, 2] = np.where(shown, _SEEN, np.where(inside, _HIDDEN, _NOT_LABELLED))
    return points


def rotated_box(figure: Figure, placement: Placement, camera: Camera, sprite: Sprite) -> Float32Array:
    """Return the rectangle (5,) around the silhouette of `figure` whose width lies along its heading as seen.

    It is centre x, y, width and height in px, and the angle in rad, from -pi/2 to pi/2, from the x axis towards y. The
    heading is that of the axis of a vehicle on the ground, projected; a person has none, and an upright rectangle.
    """
    rows, columns = np.nonzero(sprite.cover >= SILHOUETTE)
    centres = np.column_stack([columns + sprite.left, rows + sprite.top]) + 0.5
    angle = 0.0 if isinstance(figure, Person) else _heading_as_seen(figure, placement, camera)
    cos, sin = np.cos(angle), np.sin(angle)
    axes = np.array([[cos, sin], [-sin, cos]])
    along = centres @ axes.T
    reach = (abs(cos) + abs(sin)) / 2  # of a pixel from its centre, along either axis
    low, high = along.min(axis=0) - reach, along.max(axis=0) + reach
    return np.array([*((low + high) / 2 @ axes), *(high - low), angle], np.float32)


def _heading_as_seen(figure: Figure, placement: Placement, camera: Camera) -> float:
    length = figure.half_size[0]
    ends: Float64Array = placement.in_world(np.array([[-length, 0.0, 0.0], [length, 0.0, 0.0]]))
    (back, front), _ = camera.project(ends)
    right, down = front - back
    return float(np.arctan(down / right)) if right else np.pi / 2
