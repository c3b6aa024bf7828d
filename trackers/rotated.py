"""Rotated boxes: their corners, the boxes that enclose them, and how much of their area two have in common.

A rotated box is centre x, y, width and height in px, and the angle in rad from the x axis towards y of the side that
the width measures. In a tracker it is the box (4,) that encloses it, which the motion filter follows as any other, and
its shape (3,), width, height and angle, as it was seen last. So all that is known of boxes holds for it: where it is
expected, how far it may have moved, what hides it. Only the overlap is measured between the rotated boxes themselves.

The shape is not smoothed. A detector may exchange width and height from one frame to the next, with the angle a quarter
turn away, which is the same box: averages of both are none. And an angle that lags behind costs a long object that
turns more overlap than the noise of a detected angle does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_SIGNS = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) / 2
_PARALLEL = 1e-9  # sine of the angle up to which lines do not cross: where they would is lost to rounding
_TOLERANCE = 1e-7  # of its size by which a box is widened, lest corners on its edge be lost to rounding


def enclosing(rotated: FloatArray) -> FloatArray:
    """Return the boxes (N, 4) x1, y1, x2, y2 around `rotated` (N, 5)."""
    cos, sin = np.abs(np.cos(rotated[:, 4])), np.abs(np.sin(rotated[:, 4]))
    width, height = rotated[:, 2], rotated[:, 3]
    half = np.column_stack([width * cos + height * sin, width * sin + height * cos]) / 2
    return np.hstack([rotated[:, :2] - half, rotated[:, :2] + half])


def placed(boxes: FloatArray, shapes: FloatArray) -> FloatArray:
    """Return the rotated boxes (N, 5) of `shapes` (N, 3) in the middle of `boxes` (N, 4); (N, 0) without shapes."""
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, shapes]) if shapes.shape[1] else shapes


def warped(shapes: FloatArray, affine: FloatArray) -> FloatArray:
    """Return `shapes` (N, 3) turned and scaled by `affine` (2, 3), which leads from the last image to this one."""
    scale = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    turned: FloatArray = shapes * [scale, scale, 1] + [0, 0, np.arctan2(affine[1, 0], affine[0, 0])]
    return turned


def widened(rotated: FloatArray, margins: FloatArray) -> FloatArray:
    """Return `rotated` (K, 5) whose sides are `margins` (K, 2), in px along x and y, farther away from the centre."""
    along = np.abs(_axes(rotated)) @ margins[:, :, None]
    return np.hstack([rotated[:, :2], rotated[:, 2:4] + 2 * along[:, :, 0], rotated[:, 4:]])


def rotated_iou(rotated: FloatArray, others: FloatArray) -> FloatArray:
    """Return the intersection over union (K,) of each of `rotated` (K, 5) with the one of `others` (K, 5) in its row.

    The intersection of two convex polygons is the hull of the corners of each that lie inside of the other, and of the
    points where their edges cross.
    """
    if not len(rotated):
        return np.zeros(0)
    # Around the centre of the first, so that no digits are lost far from the origin.
    others = others - np.pad(rotated[:, :2], ((0, 0), (0, 3)))
    rotated = np.pad(rotated[:, 2:], ((0, 0), (2, 0)))
    ours, theirs = _corners(rotated), _corners(others)
    crossings, cross = _crossings(ours, theirs)
    points = np.concatenate([ours, theirs, crossings], axis=1)
    valid = np.concatenate([_inside(ours, others), _inside(theirs, rotated), cross], axis=1)
    common = _hull_area(points, valid)
    # IoU = |A & B| / (|A| + |B| - |A & B|)
    both = rotated[:, 2] * rotated[:, 3] + others[:, 2] * others[:, 3]
    iou: FloatArray = np.minimum(common / np.maximum(both - common, np.finfo(float).tiny), 1.0)
    return iou


def _corners(rotated: FloatArray) -> FloatArray:
    """Return the corners (K, 4, 2), one after the other, of `rotated` (K, 5)."""
    corners: FloatArray = rotated[:, None, :2] + (_SIGNS * rotated[:, None, 2:4]) @ _axes(rotated)
    return corners


def _axes(rotated: FloatArray) -> FloatArray:
    """Return the directions (K, 2, 2) of width and height, one a row."""
    cos, sin = np.cos(rotated[:, 4]), np.sin(rotated[:, 4])
    return np.stack([cos, sin, -sin, cos], axis=-1).reshape(-1, 2, 2)


def _inside(points: FloatArray, rotated: FloatArray) -> BoolArray:
    """Return which of `points` (K, 4, 2) lie in the rotated box (5,) of their row, bool (K, 4)."""
    own = (points - rotated[:, None, :2]) @ _axes(rotated).transpose(0, 2, 1)
    return np.asarray((np.abs(own) <= (0.5 + _TOLERANCE) * rotated[:, None, 2:4]).all(axis=2))


def _crossings(ours: FloatArray, theirs: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return where the lines of the edges cross, (K, 16, 2), and which of these points lie on both edges, (K, 16)."""
    start, other = ours[:, :, None], theirs[:, None]
    edge, other_edge = np.roll(start, -1, axis=1) - start, np.roll(other, -1, axis=2) - other
    turn = _cross(edge, other_edge)
    with np.errstate(divide="ignore", invalid="ignore"):
        # p + t r = q + u s:  t = (q - p) x s / (r x s),  u = (q - p) x r / (r x s)
        t, u = _cross(other - start, other_edge) / turn, _cross(other - start, edge) / turn
    lengths = np.linalg.norm(edge, axis=-1) * np.linalg.norm(other_edge, axis=-1)
    cross = (np.abs(turn) > _PARALLEL * lengths) & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    points = start + np.where(cross, t, 0.0)[..., None] * edge
    return points.reshape(len(ours), -1, 2), cross.reshape(len(ours), -1)


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    cross: FloatArray = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return cross


def _hull_area(points: FloatArray, valid: BoolArray) -> FloatArray:
    """Return the areas (K,) of convex polygons whose corners, in any order, are the `valid` of `points` (K, P, 2)."""
    count = valid.sum(axis=1)
    middle = (points * valid[..., None]).sum(axis=1) / np.maximum(count, 1)[:, None]
    around = points - middle[:, None]
    order = np.argsort(np.where(valid, np.arctan2(around[..., 1], around[..., 0]), np.inf), axis=1)
    ordered = np.take_along_axis(around, order[..., None], axis=1)
    # What is not valid comes last, and adds no area in the place of the first.
    ordered = np.where(np.take_along_axis(valid, order, axis=1)[..., None], ordered, ordered[:, :1])
    area: FloatArray = _cross(ordered, np.roll(ordered, -1, axis=1)).sum(axis=1) / 2
    return np.where(count > 2, area, 0.0)
