"""What is between the camera and things: haze, rain and snow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamdet.scene.light import Light
from streamdet.types import Float32Array, Float64Array, UInt8Array

WEATHERS = ("clear", "rain", "snow", "fog")
# The distance in m over which the contrast falls to 1 / e, at least and at most.
_CLARITY_M = {"clear": (500, 1500), "rain": (120, 350), "snow": (90, 250), "fog": (25, 70)}


@dataclass(frozen=True, slots=True)
class Air:
    """The air of one scene: colours (3,) of `haze` and of the sky's `zenith`, and its `clarity_m`."""

    haze: Float64Array
    zenith: Float64Array
    clarity_m: float
    snow: bool

    def veil(self, image: Float32Array, distance: Float64Array) -> Float32Array:
        """Return `image` (H, W, 3) seen through the air at `distance` (H, W) m; the sky, infinitely far, stays."""
        # Koschmieder: C = C0 e^(-d/L) + haze (1 - e^(-d/L))
        share = np.exp(-distance / self.clarity_m).astype(np.float32)
        share[np.isinf(distance)] = np.float32(1 if self.clarity_m > 300 else 0.15)
        return np.asarray(image * share[..., None] + self.haze.astype(np.float32) * (1 - share[..., None]), np.float32)

    def veiled(self, colour: UInt8Array, cover: UInt8Array, distance: float) -> UInt8Array:
        """Return the `colour` (h, w, 3) of a sprite, multiplied by its `cover`, seen from `distance` m."""
        share = float(np.exp(-distance / self.clarity_m))
        if share > 0.98:
            return colour
        fog = cv2.merge([cv2.convertScaleAbs(cover, alpha=float(level)) for level in self.haze])
        return np.asarray(cv2.addWeighted(colour, share, fog, 1 - share, 0), np.uint8)

    def sky(self, up: Float64Array, clouds: Float32Array) -> Float32Array:
        """Return the sky (H, W, 3) at the sine `up` of its elevation, with `clouds` of deviation 1."""
        blue = (1 - (1 - up) ** 3)[..., None]
        clear = self.haze + (self.zenith - self.haze) * blue
        veil = (0.3 + 0.3 * clouds).clip(0, 0.8)[..., None]
        return np.asarray(clear + (self.haze * 1.04 - clear) * veil, np.float32)


def draw_air(rng: np.random.Generator, weather: str, light: Light) -> Air:
    """Return the air in `weather` ("clear", "rain", "snow", "fog") under `light`."""
    overcast = light.shadow < 0.1
    if light.dark and light.sky.max() < 0.25:
        haze = light.sky * rng.uniform(0.6, 1.2)
        return Air(haze, haze * 0.4, rng.uniform(*_CLARITY_M[weather]), weather == "snow")
    haze = light.sky.mean() * np.array([0.86, 0.88, 0.9]) * (1.0 if overcast else 1.6)
    zenith = haze * (np.array([0.85, 0.88, 0.92]) if overcast else np.array([0.38, 0.58, 0.9]))
    return Air(haze.clip(0, 0.96), zenith.clip(0, 1), rng.uniform(*_CLARITY_M[weather]), weather == "snow")


class Precipitation:
    """Rain or snow before the lens; drops fall as time goes, the same for the same time."""

    def __init__(self, rng: np.random.Generator, weather: str, image_size: tuple[int, int]) -> None:
        width, height = image_size
        self._drift = rng.uniform(-0.15, 0.15)
        # Near and far drops: size as a share, speed in heights of the picture per s.
        depths = {"rain": ((1.0, 1.9), (0.6, 1.3)), "snow": ((1.0, 0.33), (0.6, 0.2))}.get(weather, ())
        self._layers: list[tuple[UInt8Array, float]] = []
        for share, speed in depths:
            layer = np.zeros((height, width), np.uint8)
            self._scatter(rng, layer, weather, share, int(rng.uniform(90, 330)))
            self._layers.append((np.asarray(cv2.GaussianBlur(layer, (3, 3), 0), np.uint8), speed * height))

    def fall(self, image: UInt8Array, time_s: float) -> None:
        """Add what falls at `time_s` to `image` (H, W, 3)."""
        for layer, speed in self._layers:
            down = round(time_s * speed)
            drops = np.roll(layer, (down % layer.shape[0], round(down * self._drift) % layer.shape[1]), (0, 1))
            cv2.add(image, cv2.merge([drops] * 3), dst=image)

    def _scatter(self, rng: np.random.Generator, layer: UInt8Array, weather: str, share: float, count: int) -> None:
        height, width = layer.shape
        for x, y, light in zip(
            rng.uniform(0, width, count), rng.uniform(0, height, count), rng.uniform(15, 60, count), strict=True
        ):
            if weather == "rain":
                length = share * height * rng.uniform(0.02, 0.06)
                end = (round(x + self._drift * length), round(y + length))
                cv2.line(layer, (round(x), round(y)), end, light * share, 1, cv2.LINE_AA)
            else:
                radius = share * height * rng.uniform(0.001, 0.005)
                cv2.circle(layer, (round(x * 8), round(y * 8)), round(radius * 8), light * 3, -1, cv2.LINE_AA, 3)
