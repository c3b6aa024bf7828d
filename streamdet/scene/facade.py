"""The houses beside a street: a wall evaluated for every pixel, window by window."""

from __future__ import annotations

import numpy as np

from streamdet.scene.colour import pick
from streamdet.scene.ground import Places
from streamdet.scene.noise import Noise, between, lines, sample
from streamdet.types import Float32Array, Float64Array, Int64Array

_WALLS = (
    (0.55, 0.33, 0.25),
    (0.62, 0.42, 0.32),
    (0.75, 0.70, 0.60),
    (0.80, 0.78, 0.74),
    (0.55, 0.55, 0.56),
    (0.70, 0.60, 0.42),
    (0.42, 0.40, 0.40),
)
_GLASS = ((0.16, 0.19, 0.23), (0.25, 0.29, 0.34), (0.10, 0.11, 0.13))
_FRAMES = ((0.9, 0.9, 0.88), (0.3, 0.22, 0.18), (0.5, 0.5, 0.5), (0.15, 0.15, 0.16))
_SHOPS = ((0.7, 0.15, 0.12), (0.12, 0.25, 0.5), (0.1, 0.35, 0.2), (0.85, 0.7, 0.2), (0.2, 0.2, 0.2), (0.8, 0.8, 0.8))
_HOUSES = 24


class Facade:
    """A row of houses along a wall; `lit` is the share of windows with light behind them."""

    def __init__(self, rng: np.random.Generator, noise: Noise, lit: float) -> None:
        self._noise = noise
        self.starts = np.cumsum(rng.uniform(7, 26, _HOUSES)) - 120
        self.heights = rng.uniform(4, 16, _HOUSES)
        # Some houses are gaps with trees behind.
        self.heights[rng.random(_HOUSES) < 0.12] = 0
        self._walls = np.array([pick(rng, _WALLS, 0.1) for _ in range(_HOUSES)], np.float32)
        self._glass = np.array([pick(rng, _GLASS, 0.1) for _ in range(_HOUSES)], np.float32)
        self._frames = np.array([pick(rng, _FRAMES) for _ in range(_HOUSES)], np.float32)
        self._shops = np.array([pick(rng, _SHOPS, 0.1) for _ in range(_HOUSES)], np.float32)
        self._storeys = rng.uniform(2.7, 3.6, _HOUSES).astype(np.float32)
        self._pitches = rng.uniform(1.6, 4.5, _HOUSES).astype(np.float32)
        self._shares = rng.uniform(0.35, 0.75, (2, _HOUSES)).astype(np.float32)
        self._bricks = rng.random(_HOUSES) < 0.5
        self._is_shop = rng.random(_HOUSES) < 0.5
        self._panes = rng.random(997).astype(np.float32)
        self._lit = lit

    def house_at(self, u: Float64Array) -> Int64Array:
        """Return the number of the house at `u` m along the wall."""
        return np.searchsorted(self.starts, u).clip(0, _HOUSES - 1)

    def height_at(self, u: Float64Array) -> Float64Array:
        """Return the height in m of the wall at `u` m along it."""
        height: Float64Array = self.heights[self.house_at(u)]
        return height

    def paint(self, places: Places) -> tuple[Float32Array, Float32Array]:
        """Return colours (H, W, 3) and their own light (H, W, 3) for places u along the wall and v above the ground."""
        u, z = places.u, places.v
        house = self.house_at(u.astype(np.float64))
        image = self._plaster(places, house)
        window, frame, glow = self._windows(places, house)
        image += frame[..., None] * (self._frames[house] - image)
        reflection = 1 + 0.25 * sample(self._noise.rough, u / 0.15, z / 0.1)[..., None]
        image += window[..., None] * (self._glass[house] * reflection - image)
        board = between(z, 2.6, 3.2, places.v_width) * self._is_shop[house]
        image += board[..., None] * (self._shops[house] - image)
        image *= (1 - 0.5 * between(z, 0.0, 0.25, places.v_width))[..., None]
        return image, glow[..., None] * np.array([1.0, 0.8, 0.45], np.float32)

    def _plaster(self, places: Places, house: Int64Array) -> Float32Array:
        u, z = places.u, places.v
        courses = lines(z, 0.075, 0.012, places.v_width) * self._bricks[house]
        dirt = sample(self._noise.rough, u / 0.08, z / 0.15) + sample(self._noise.rough, u / 0.015, z / 0.015)
        light = (1 + 0.03 * dirt) * (1 - 0.35 * courses)
        wall: Float32Array = light[..., None] * self._walls[house]
        return wall

    def _windows(self, places: Places, house: Int64Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Return how much of each pixel is glass, and frame, and how strongly its window is lit."""
        storey, pitch = self._storeys[house], self._pitches[house]
        ground_floor = (places.v < storey) & self._is_shop[house]
        wide = np.where(ground_floor, 0.88, self._shares[0][house])
        tall = np.where(ground_floor, 0.72, self._shares[1][house])
        column, row = np.floor(places.u / pitch), np.floor(places.v / storey)
        across, up = places.u - (column + 0.5) * pitch, places.v - (row + 0.52) * storey
        half = (wide * pitch / 2, tall * storey / 2)

        def inside(rim: float) -> Float32Array:
            # Distance to the nearest side of the window, in px.
            sides = (half[0] + rim - np.abs(across)) / places.u_width, (half[1] + rim - np.abs(up)) / places.v_width
            share: Float32Array = (sides[0] + 0.5).clip(0, 1) * (sides[1] + 0.5).clip(0, 1)
            return share

        below_roof = (row + 1) * storey < self.heights[house]
        bars = lines(across - half[0], 1.0, 0.06, places.u_width)
        glass = inside(0) * (1 - 0.8 * bars) * below_roof
        frame = inside(0.09) * below_roof
        pane = self._panes[(column * 31 + row * 57 + house * 101).astype(np.int64) % len(self._panes)]
        return (
            glass.astype(np.float32),
            frame.astype(np.float32),
            (glass * (pane < self._lit) * (0.35 + 0.6 * pane / max(self._lit, 0.01))).astype(np.float32),
        )
