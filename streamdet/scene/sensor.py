"""What the camera makes of the light: blur, tone, noise and compression."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.types import UInt8Array

_SPARE_PX = 64


class Sensor:
    """One camera's electronics, exposed for a `view` uint8 (H, W, 3) of the scene."""

    def __init__(self, rng: np.random.Generator, image_size: tuple[int, int], view: UInt8Array, *, dark: bool) -> None:
        width, height = image_size
        self._blur = rng.uniform(0.3, 0.75) * max(width / 768, 0.6)
        self._tones = _tone_curve(rng, float(view.mean()) / 255, dark=dark)
        self._quality = int(rng.integers(45, 92))
        deviation = rng.uniform(3, 9) if dark else rng.uniform(1, 4.5)
        grain = deviation * rng.standard_normal((height + _SPARE_PX, width + _SPARE_PX, 3))
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
        # Another part of the grain in every frame.
        x, y = (int(n) for n in np.random.default_rng(index).integers(0, _SPARE_PX, 2))
        height, width = image.shape[:2]
        part = (slice(y, y + height), slice(x, x + width))
        image = cv2.subtract(cv2.add(image, self._brighter[part]), self._darker[part])
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), np.uint8)


def _tone_curve(rng: np.random.Generator, brightness: float, *, dark: bool) -> UInt8Array:
    """Return the curve of each channel, uint8 (1, 256, 3): exposure, gamma, contrast and a cast of colour."""
    light = np.linspace(0, 1, 256)[:, None]
    # The exposure lifts the mean to a grey that is darker at night; it can only do so much.
    wanted = rng.uniform(0.16, 0.32) if dark else rng.uniform(0.38, 0.62)
    gain = np.clip(wanted / max(brightness, 0.01), 0.7, 5.0 if dark else 2.0) * rng.normal(1, 0.025, 3)
    lifted = (light * gain).clip(0, 1) ** rng.uniform(0.8, 1.15)
    contrast, black = rng.uniform(0.0, 0.5), rng.uniform(0, 0.06)
    # A smooth step steepens the middle tones.
    curved = (1 - contrast) * lifted + contrast * lifted**2 * (3 - 2 * lifted)
    curve: UInt8Array = ((black + (1 - black) * curved) * 255).round().astype(np.uint8)[None]
    return curve
