"""A pinhole camera above a ground plane.

World coordinates are metres: x along the street, y across it to the left, z up; the ground is z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streamdet.types import Float32Array, Float64Array

# Nothing nearer than this is drawn.
NEAR_M = 0.8


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole at `position` m, turned left by `yaw` and down by `pitch` (rad) from looking along x.

    `focal` and `centre` are in px of the canvas, which may be larger than the image; `to_image`, a 2 x 3 similarity,
    leads from px of the canvas to px of the image. `axes` are the unit vectors (3, 3) to the right, down and forward, a
    row each.
    """

    position: tuple[float, float, float]
    yaw: float
    pitch: float
    focal: float
    centre: tuple[float, float]
    to_image: Float64Array = field(default_factory=lambda: np.eye(2, 3))
    axes: Float64Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        cos_yaw, sin_yaw = np.cos(self.yaw), np.sin(self.yaw)
        cos_pitch, sin_pitch = np.cos(self.pitch), np.sin(self.pitch)
        axes = np.array(
            [
                [sin_yaw, -cos_yaw, 0.0],
                [-cos_yaw * sin_pitch, -sin_yaw * sin_pitch, -cos_pitch],
                [cos_yaw * cos_pitch, sin_yaw * cos_pitch, -sin_pitch],
            ]
        )
        object.__setattr__(self, "axes", axes)

    def project(self, points: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return where `points` (N, 3) m fall, (N, 2) px of the image, and their depths (N,) m along the axis."""
        in_camera = (points - np.array(self.position)) @ self.axes.T
        depth = in_camera[:, 2]
        # u = cx + f X / Z, v = cy + f Y / Z; what is behind the camera is held at the near plane.
        canvas = np.array(self.centre) + self.focal * in_camera[:, :2] / np.maximum(depth, NEAR_M)[:, None]
        return canvas @ self.to_image[:, :2].T + self.to_image[:, 2], depth

    def px_per_m(self, depth: Float64Array) -> Float64Array:
        """Return the size in px of the image of one metre at `depth` m."""
        zoom = float(np.hypot(self.to_image[0, 0], self.to_image[1, 0]))
        size: Float64Array = zoom * self.focal / np.maximum(depth, NEAR_M)
        return size

    def rays(self, width_px: int, height_px: int) -> Float32Array:
        """Return the directions (H, W, 3) through the pixel centres of the canvas, of depth 1 m each."""
        right = (np.arange(width_px) + 0.5 - self.centre[0]) / self.focal
        down = (np.arange(height_px) + 0.5 - self.centre[1]) / self.focal
        axes = self.axes
        rays = axes[2] + right[None, :, None] * axes[0] + down[:, None, None] * axes[1]
        return np.asarray(rays, np.float32)

    def ground_point(self, x_px: float, y_px: float) -> tuple[float, float] | None:
        """Return x and y in m of the ground at a place of the canvas, None at and above the horizon."""
        right, down = (x_px - self.centre[0]) / self.focal, (y_px - self.centre[1]) / self.focal
        ray = np.array([right, down, 1.0]) @ self.axes
        if ray[2] > -1e-3:
            return None
        # The ray from height h reaches the ground where h + t dz = 0.
        reach = -self.position[2] / ray[2]
        return float(self.position[0] + reach * ray[0]), float(self.position[1] + reach * ray[1])
