"""The camera: its place and projection, its sway, and its sensor.

World coordinates are metres: x along the street, y across it to the left, z up; the ground is z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from streamdet.scene.plan import Plan
from streamdet.types import Float32Array, Float64Array, UInt8Array

# Nothing nearer than this is drawn.
NEAR_M = 0.8
# The grain of the sensor is larger than the picture by this, so that each frame gets another part of it.
_GRAIN_SPARE_PX = 64


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera at `position` m that looks along x, turned left by `yaw` and down by `pitch` rad.

    `focal` and `centre` are in px of the canvas, which may be larger than the image; `to_image` is the 2 x 3 similarity
    from px of the canvas to px of the image. The rows of `axes` (3, 3) are unit vectors to the right, down and forward.
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
        """Return the projections of `points` (N, 3) m, (N, 2) px of the image, and their depths (N,) m on the axis."""
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
        """Return the rays f32 (H, W, 3) through the pixel centres of the canvas, each 1 m long along the axis."""
        right = (np.arange(width_px) + 0.5 - self.centre[0]) / self.focal
        down = (np.arange(height_px) + 0.5 - self.centre[1]) / self.focal
        axes = self.axes
        rays = axes[2] + right[None, :, None] * axes[0] + down[:, None, None] * axes[1]
        return np.asarray(rays, np.float32)

    def ground_point(self, x_px: float, y_px: float) -> tuple[float, float] | None:
        """Return x and y in m of the ground seen at a place of the canvas; None at and above the horizon."""
        right, down = (x_px - self.centre[0]) / self.focal, (y_px - self.centre[1]) / self.focal
        ray = np.array([right, down, 1.0]) @ self.axes
        if ray[2] > -1e-3:
            return None
        # The ray from height h reaches the ground where h + t dz = 0.
        reach = -self.position[2] / ray[2]
        return float(self.position[0] + reach * ray[0]), float(self.position[1] + reach * ray[1])


@dataclass(frozen=True, slots=True)
class Manner:
    """A way to sway: amplitudes `reach_x` and `reach_y` as shares of the picture's width, `roll` in rad and `zoom`.

    `rates` are the lowest and the highest frequency in Hz.
    """

    reach_x: float
    reach_y: float
    roll: float
    zoom: float
    rates: tuple[float, float]


MANNERS = {
    "fixed": Manner(0, 0, 0, 0, (1, 1)),
    "pan": Manner(0.10, 0.004, 0, 0, (0.03, 0.08)),
    "shake": Manner(0.003, 0.003, 0.0015, 0, (2, 7)),
    "handheld": Manner(0.018, 0.014, 0.01, 0.01, (0.15, 1.1)),
}


class Sway:
    """The movement of one camera: a mean of three sines for each of shift x, shift y, roll and zoom."""

    def __init__(self, manner: Manner, image_size: tuple[int, int], rng: np.random.Generator) -> None:
        width, height = image_size
        self._amplitudes = np.array([manner.reach_x * width, manner.reach_y * width, manner.roll, manner.zoom])
        self._rates = rng.uniform(*manner.rates, (4, 3))
        self._phases = rng.uniform(0, 2 * np.pi, (4, 3))
        self._image_size = np.array([width, height])
        # The corners move by the shift, by the roll's arc and by the zoom.
        reach = self._amplitudes[:2] + np.array([height, width]) / 2 * manner.roll + self._image_size / 2 * manner.zoom
        self.margin = np.where(reach > 0, np.ceil(reach) + 2, 0).astype(int)

    @property
    def canvas_size(self) -> tuple[int, int]:
        """Width and height in px of the canvas, which holds the picture wherever it moves."""
        width, height = self._image_size + 2 * self.margin
        return int(width), int(height)

    def to_image(self, time_s: float) -> Float64Array:
        """Return the similarity (2, 3) from px of the canvas to px of the image at `time_s`."""
        sines = np.sin(2 * np.pi * self._rates * time_s + self._phases).mean(axis=1)
        shift_x, shift_y, roll, zoom = self._amplitudes * sines
        cos, sin = (1 + zoom) * np.cos(roll), (1 + zoom) * np.sin(roll)
        turn = np.array([[cos, -sin], [sin, cos]])
        # image = turn (canvas - canvas centre) + image centre + shift
        centre = self._image_size / 2
        offset = centre + np.array([shift_x, shift_y]) - turn @ (centre + self.margin)
        return np.column_stack([turn, offset])


class Sensor:
    """A sensor with blur, tone curve, noise and JPEG compression, exposed for a `view` uint8 (H, W, 3) of the scene."""

    def __init__(self, rng: np.random.Generator, image_size: tuple[int, int], view: UInt8Array, *, dark: bool) -> None:
        width, height = image_size
        self._blur = rng.uniform(0.3, 0.75) * max(width / 768, 0.6)
        self._tones = _tone_curve(rng, float(view.mean()) / 255, dark=dark)
        self._quality = int(rng.integers(45, 92))
        deviation = rng.uniform(3, 9) if dark else rng.uniform(1, 4.5)
        grain = deviation * rng.standard_normal((height + _GRAIN_SPARE_PX, width + _GRAIN_SPARE_PX, 3))
        # Chroma noise is weaker than that of luma.
        grain = 0.75 * grain.mean(axis=2, keepdims=True) * np.sqrt(3) + 0.4 * grain
        self._brighter = grain.clip(0, 255).round().astype(np.uint8)
        self._darker = (-grain).clip(0, 255).round().astype(np.uint8)
        self._saturation = rng.uniform(0.6, 1.2)

    def expose(self, light: UInt8Array, index: int) -> UInt8Array:
        """Return frame `index` as it is recorded, from the `light` uint8 (H, W, 3) that falls on the sensor."""
        image = cv2.LUT(cv2.GaussianBlur(light, (0, 0), self._blur), self._tones)
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.addWeighted(image, self._saturation, grey, 1 - self._saturation, 0)
        # Every frame takes another part of the grain.
        x, y = (int(n) for n in np.random.default_rng(index).integers(0, _GRAIN_SPARE_PX, 2))
        height, width = image.shape[:2]
        part = (slice(y, y + height), slice(x, x + width))
        image = cv2.subtract(cv2.add(image, self._brighter[part]), self._darker[part])
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), np.uint8)


def _tone_curve(rng: np.random.Generator, brightness: float, *, dark: bool) -> UInt8Array:
    """Return the tone curve of each channel, uint8 (1, 256, 3): exposure, gamma, contrast and a colour cast."""
    light = np.linspace(0, 1, 256)[:, None]
    # The exposure brings the mean to a grey that is darker at night, within limits.
    wanted = rng.uniform(0.16, 0.32) if dark else rng.uniform(0.38, 0.62)
    gain = np.clip(wanted / max(brightness, 0.01), 0.7, 5.0 if dark else 2.0) * rng.normal(1, 0.025, 3)
    lifted = (light * gain).clip(0, 1) ** rng.uniform(0.8, 1.15)
    contrast, black = rng.uniform(0.0, 0.5), rng.uniform(0, 0.06)
    # Smoothstep, 3 x^2 - 2 x^3, steepens the middle tones.
    curved = (1 - contrast) * lifted + contrast * lifted**2 * (3 - 2 * lifted)
    curve: UInt8Array = ((black + (1 - black) * curved) * 255).round().astype(np.uint8)[None]
    return curve


def draw_camera(rng: np.random.Generator, plan: Plan, canvas_size: tuple[int, int], width_px: int) -> Camera:
    """Return a camera inside `plan` for a canvas of `canvas_size`, whose picture is `width_px` wide.

    It is at eye level, on a mast or high up, and looks along the street, across it or at an angle.
    """
    height, (least_pitch, most_pitch) = _mount(rng)
    right, left = plan.walls
    if plan.square or rng.random() < 0.75:
        # From one side of the street, turned towards the other.
        y = right + rng.uniform(0.3, 0.2 * (left - right))
        yaw = np.deg2rad(rng.uniform(10, 90))
    else:
        y, yaw = rng.uniform(0.6 * right, 0.6 * left), np.deg2rad(rng.uniform(-8, 8))
    if rng.random() < 0.5:
        y, yaw = y + (left + right) - 2 * y, -yaw
    field_of_view = np.deg2rad(rng.uniform(38, 72))
    focal = width_px / 2 / np.tan(field_of_view / 2)
    pitch = np.deg2rad(rng.uniform(least_pitch, most_pitch))
    centre = (canvas_size[0] / 2, canvas_size[1] / 2)
    return Camera((0.0, float(y), float(height)), float(yaw), float(pitch), float(focal), centre)


def _mount(rng: np.random.Generator) -> tuple[float, tuple[float, float]]:
    """Return a height in m and a range of pitch in degrees."""
    kind = rng.choice(["eye", "mast", "high"], p=[0.2, 0.5, 0.3])
    if kind == "eye":
        return rng.uniform(1.6, 2.8), (0, 8)
    if kind == "mast":
        return rng.uniform(3, 6.5), (10, 27)
    return rng.uniform(6.5, 13), (18, 36)
