"""Light and weather: sun, sky and lamps, haze, rain and snow, and the shadows on the ground."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from streamdet.scene.camera import NEAR_M, Camera
from streamdet.types import Float32Array, Float64Array, UInt8Array

WEATHERS = ("clear", "rain", "snow", "fog")
# The distance in m over which the contrast falls to 1 / e, at least and at most.
_CLARITY_M = {"clear": (500, 1500), "rain": (120, 350), "snow": (90, 250), "fog": (25, 70)}
# A lamp gives a quarter of its light at this distance.
_LAMP_REACH_M = 7.0
# The picture of a lamp that shines: a bright core in a wide halo that ends at the rim.
_SHINE_OFFSETS = (np.arange(64) + 0.5) / 64 * 2 - 1
_SHINE_RADII = np.hypot(_SHINE_OFFSETS[:, None], _SHINE_OFFSETS[None])
_SHINE = (0.75 * np.exp(-((_SHINE_RADII / 0.16) ** 2)) + 0.25 * (1 - _SHINE_RADII).clip(0) ** 2).astype(np.float32)
# OpenCV fills polygons in 16-bit fixed point, and 20 000 px x 2^16 < 2^31.
_SHADOW_FARTHEST_PX = 20_000
_SHADOW_FIXED_POINT_BITS = 3


@dataclass(frozen=True, slots=True)
class Light:
    """The light on a scene: RGB of the `sky`, the `sun` and each `lamp`, 1 being full day, and lamps at (L, 3) m.

    `towards_sun` is a unit vector; `shadow` is how much of the light a cast shadow takes away, 0 to 1; `dark` means
    that lamps, windows and headlights are lit.
    """

    sky: Float64Array
    sun: Float64Array
    towards_sun: Float64Array
    shadow: float
    dark: bool
    lamp: Float64Array = field(default_factory=lambda: np.zeros(3))
    lamps: Float64Array = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def slope(self) -> Float64Array:
        """The part (2,) of `towards_sun` along the ground per m of height: a point p at height z shades p - z slope."""
        slope: Float64Array = self.towards_sun[:2] / max(self.towards_sun[2], 0.1)
        return slope

    def around(self, places: Float64Array) -> Float64Array:
        """Return the light (..., 3) of sky and lamps at `places` (..., 3) m."""
        light = np.broadcast_to(self.sky, places.shape).copy()
        for lamp in self.lamps:
            # I = I0 / (1 + d^2 / r^2)^2, d across the ground
            distance2 = ((places[..., :2] - lamp[:2]) ** 2).sum(axis=-1, keepdims=True)
            light += self.lamp / (1 + distance2 / _LAMP_REACH_M**2) ** 2
        return light

    def shade(self, normals: Float64Array, around: Float64Array) -> Float64Array:
        """Return the light (N, 3) on surfaces with unit `normals` (N, 3), given the light `around` them (3,)."""
        # A wall hides half of the sky: E = E_sky (3 + n_z) / 4 + E_sun max(n . s, 0)
        facing = np.maximum(normals @ self.towards_sun, 0)[:, None]
        light: Float64Array = around * (3 + normals[:, 2:]) / 4 + self.sun * facing
        return light


def draw_light(rng: np.random.Generator, time: str, weather: str) -> Light:
    """Return the light at `time` ("day", "dusk", "night") in `weather`, without lamps."""
    elevation = np.deg2rad(rng.uniform(22, 65) if time == "day" else rng.uniform(6, 15))
    azimuth = rng.uniform(0, 2 * np.pi)
    level = np.cos(elevation)
    towards_sun = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
    if time == "night":
        glow = rng.uniform(0.07, 0.2) * np.array([0.9, 0.95, 1.15])
        return Light(glow, np.zeros(3), towards_sun, 0.0, True)
    overcast = weather != "clear" or rng.random() < 0.45
    if time == "dusk":
        sky = rng.uniform(0.35, 0.55) * np.array([0.97, 0.95, 1.08])
        sun = np.zeros(3) if overcast else rng.uniform(0.2, 0.6) * np.array([1.2, 0.85, 0.6])
        return Light(sky, sun, towards_sun, 0.0 if overcast else 0.3, bool(rng.random() < 0.7))
    if overcast:
        return Light(np.full(3, rng.uniform(0.8, 1.0)), np.full(3, 0.08), towards_sun, 0.06, False)
    # On level ground sky and sun add up to 1.
    share = rng.uniform(0.4, 0.7)
    sky = (1 - share) * np.array([0.93, 1.0, 1.12])
    sun = share / towards_sun[2] * np.array([1.05, 1.0, 0.92])
    return Light(sky, sun.clip(0, 1.3), towards_sun, float(share), False)


def lamp_colour(rng: np.random.Generator) -> Float64Array:
    """Return the light (3,) right below a street lamp: the orange of sodium, or white."""
    colour = np.array([1.0, 0.72, 0.4]) if rng.random() < 0.5 else np.array([1.0, 0.95, 0.88])
    strong: Float64Array = colour * rng.uniform(0.35, 0.75)
    return strong


def shine(image: UInt8Array, centre: Float64Array, radius: float, colour: Float64Array) -> None:
    """Add a lamp's shine of `radius` px around `centre` (x, y) px to `image`; `colour` RGB, 1 being white."""
    side = int(np.clip(2 * radius, 4, 2 * min(image.shape[:2])))
    left, top = (round(float(value) - side / 2) for value in centre)
    height, width = image.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 >= x2 or y1 >= y2:
        return
    spot = cv2.resize(_SHINE, (side, side), interpolation=cv2.INTER_AREA)[y1 - top : y2 - top, x1 - left : x2 - left]
    light = (spot[..., None] * (255 * colour)).clip(0, 255).astype(np.uint8)
    image[y1:y2, x1:x2] = cv2.add(image[y1:y2, x1:x2], light)


@dataclass(frozen=True, slots=True)
class Air:
    """The air between the camera and a scene: colours (3,) of `haze` and of the sky's `zenith`, and whether it snows.

    Over `clarity_m` the contrast falls to 1 / e.
    """

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

    def veil_sprite(self, colour: UInt8Array, cover: UInt8Array, distance: float) -> UInt8Array:
        """Return the `colour` (h, w, 3) of a sprite, multiplied by its `cover`, seen from `distance` m."""
        share = float(np.exp(-distance / self.clarity_m))
        if share > 0.98:
            return colour
        fog = cv2.merge([cv2.convertScaleAbs(cover, alpha=float(level)) for level in self.haze])
        return np.asarray(cv2.addWeighted(colour, share, fog, 1 - share, 0), np.uint8)

    def sky(self, up: Float64Array, clouds: Float32Array) -> Float32Array:
        """Return the sky (H, W, 3) at `up` (H, W), the sine of the elevation, with `clouds` (H, W) of deviation 1."""
        blue = (1 - (1 - up) ** 3)[..., None]
        clear = self.haze + (self.zenith - self.haze) * blue
        cover = (0.3 + 0.3 * clouds).clip(0, 0.8)[..., None]
        return np.asarray(clear + (self.haze * 1.04 - clear) * cover, np.float32)


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
    """Rain or snow before the lens: a function of time alone; nothing in other weather."""

    def __init__(self, rng: np.random.Generator, weather: str, image_size: tuple[int, int]) -> None:
        width, height = image_size
        self._drift = rng.uniform(-0.15, 0.15)
        # Near and far drops: relative size, and speed in heights of the picture per s.
        depths = {"rain": ((1.0, 1.9), (0.6, 1.3)), "snow": ((1.0, 0.33), (0.6, 0.2))}.get(weather, ())
        self._layers: list[tuple[UInt8Array, float]] = []
        for share, speed in depths:
            layer = np.zeros((height, width), np.uint8)
            self._scatter(rng, layer, weather, share, int(rng.uniform(90, 330)))
            self._layers.append((np.asarray(cv2.GaussianBlur(layer, (3, 3), 0), np.uint8), speed * height))

    def fall(self, image: UInt8Array, time_s: float) -> None:
        """Add the drops or flakes at `time_s` to `image` (H, W, 3)."""
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


def darken(
    image: UInt8Array,
    outlines: list[Float64Array],
    strength: float,
    camera: Camera,
    shown: UInt8Array,
    blur_px: int = 3,
) -> None:
    """Darken `image` by the share `strength` inside `outlines` (N, 3) m, where `shown` is 0, the ground."""
    height, width = shown.shape
    mask = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    px, depth = camera.project(np.concatenate([*outlines, np.zeros((0, 3))]))
    corners = (px / 2 * 2**_SHADOW_FIXED_POINT_BITS).clip(-_SHADOW_FARTHEST_PX, _SHADOW_FARTHEST_PX).astype(np.int32)
    start = 0
    for end in np.cumsum([len(outline) for outline in outlines]).tolist():
        if depth[start:end].min() > NEAR_M:
            cv2.fillConvexPoly(mask, corners[start:end], 255, cv2.LINE_8, _SHADOW_FIXED_POINT_BITS)
        start = end
    x, y, w, h = cv2.boundingRect(mask)
    if not w:
        return
    rows = slice(2 * max(y - blur_px, 0), min(2 * (y + h + blur_px), height))
    columns = slice(2 * max(x - blur_px, 0), min(2 * (x + w + blur_px), width))
    soft = cv2.resize(cv2.blur(mask, (blur_px, blur_px)), (mask.shape[1] * 2, mask.shape[0] * 2))[rows, columns]
    # The share that stays: 1 - strength on the ground, 1 elsewhere.
    kept = cv2.LUT(soft, (255 - strength * np.arange(256)).round().astype(np.uint8))
    kept[shown[rows, columns] != 0] = 255
    image[rows, columns] = cv2.multiply(image[rows, columns], cv2.merge([kept] * 3), scale=1 / 255)
