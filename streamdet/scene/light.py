"""Sun, sky and lamps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streamdet.types import Float64Array

_LAMP_REACH_M = 7.0


@dataclass(frozen=True, slots=True)
class Light:
    """What falls on a surface: RGB of the `sky` and of the `sun`, 1 being full day, and lamps at places (L, 3) m.

    `towards_sun` is a unit vector; `shadow` is how much of the light a cast shadow takes away, 0 to 1; `dark` says that
    lamps, windows and headlights are lit.
    """

    sky: Float64Array
    sun: Float64Array
    towards_sun: Float64Array
    shadow: float
    dark: bool
    lamp: Float64Array = field(default_factory=lambda: np.zeros(3))
    lamps: Float64Array = field(default_factory=lambda: np.zeros((0, 3)))

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
        # Half of the sky is behind a wall: E = E_sky (3 + n_z) / 4 + E_sun max(n . s, 0)
        facing = np.maximum(normals @ self.towards_sun, 0)[:, None]
        light: Float64Array = around * (3 + normals[:, 2:]) / 4 + self.sun * facing
        return light

    def on_ground(self, places: Float64Array) -> Float64Array:
        """Return the light (..., 3) on level ground at `places` (..., 3) m."""
        return self.around(places) + self.sun * max(float(self.towards_sun[2]), 0)


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
    """Return the light of a street lamp right below it: sodium's orange, or white."""
    colour = np.array([1.0, 0.72, 0.4]) if rng.random() < 0.5 else np.array([1.0, 0.95, 0.88])
    strong: Float64Array = colour * rng.uniform(0.35, 0.75)
    return strong
