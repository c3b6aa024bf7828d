"""The ground of a street: surfaces, kerbs and markings, evaluated for every pixel from its place in the world."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scene.figures import pick
from streamdet.scene.plan import Plan
from streamdet.types import Float32Array, Float64Array

_TILE_SIDE = 256
_GREY = ((0.30, 0.30, 0.31), (0.42, 0.42, 0.42), (0.58, 0.57, 0.56), (0.70, 0.70, 0.70))


class Texture:
    """Two seamless tiles f32 (256, 256) of mean 0 and deviation 1.

    `fine` is white noise; `rough` looks like clouds, with amplitudes that fall with frequency as 1 / f^1.3.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        white = rng.standard_normal((_TILE_SIDE, _TILE_SIDE))
        frequency = np.hypot(np.fft.fftfreq(_TILE_SIDE)[:, None], np.fft.rfftfreq(_TILE_SIDE)[None])
        frequency[0, 0] = np.inf
        cloud = np.fft.irfft2(np.fft.rfft2(white) / frequency**1.3, (_TILE_SIDE, _TILE_SIDE))
        self.fine = white.astype(np.float32)
        self.rough = (cloud / cloud.std()).astype(np.float32)


def sample(tile: Float32Array, u: npt.NDArray[np.floating], v: npt.NDArray[np.floating]) -> Float32Array:
    """Return the values of `tile`, repeated without end, at the columns `u` and rows `v` (H, W) in its px."""
    side = len(tile)
    wrapped = np.pad(tile, ((0, 1), (0, 1)), mode="wrap")
    # The same as the operator %, but faster.
    columns, rows = ((place - side * np.floor(place / side)).astype(np.float32) for place in (u, v))
    return np.asarray(cv2.remap(wrapped, columns, rows, cv2.INTER_LINEAR), np.float32)


def between(value: Float32Array, low: float, high: float, footprint: Float32Array) -> Float32Array:
    """Return how much of a pixel of width `footprint` around `value` lies between `low` and `high`, 0 to 1."""
    # A box filter: the covered length of [value - f/2, value + f/2], divided by f.
    upper = np.minimum(value + footprint / 2, high)
    lower = np.maximum(value - footprint / 2, low)
    covered: Float32Array = np.clip((upper - lower) / footprint, 0, 1)
    return covered


def lines(value: Float32Array, spacing: float, width: float, footprint: Float32Array) -> Float32Array:
    """Return how much of a pixel is covered by lines of `width` that repeat every `spacing`, 0 to 1."""

    def covered_up_to(place: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        whole = np.floor(place / spacing)
        total: npt.NDArray[np.floating] = whole * width + np.minimum(place - whole * spacing, width)
        return total

    covered = covered_up_to(value + footprint / 2) - covered_up_to(value - footprint / 2)
    return np.asarray(covered / footprint, np.float32)


@dataclass(frozen=True, slots=True)
class Surface:
    """The look of a ground: RGB to choose from, contrast of grain and of patches, spacing of joints (x, y) in m."""

    tones: tuple[tuple[float, float, float], ...]
    grain: float
    patches: float
    joints: tuple[float, float] | None = None


SURFACES = {
    "asphalt": Surface(_GREY, 0.05, 0.035),
    "concrete": Surface(((0.62, 0.61, 0.58), (0.72, 0.70, 0.66), (0.5, 0.5, 0.48)), 0.04, 0.035, (4.0, 3.0)),
    "paving": Surface(((0.66, 0.62, 0.57), (0.58, 0.57, 0.55), (0.60, 0.47, 0.42)), 0.05, 0.03, (0.2, 0.1)),
    "slabs": Surface(((0.68, 0.66, 0.62), (0.56, 0.55, 0.54), (0.75, 0.72, 0.66)), 0.04, 0.03, (0.6, 0.6)),
    "cobbles": Surface(((0.45, 0.43, 0.41), (0.55, 0.51, 0.46)), 0.1, 0.04, (0.12, 0.12)),
    "gravel": Surface(((0.64, 0.56, 0.44), (0.6, 0.57, 0.52)), 0.14, 0.05),
    "grass": Surface(((0.27, 0.38, 0.14), (0.36, 0.44, 0.21), (0.45, 0.46, 0.26), (0.24, 0.35, 0.13)), 0.15, 0.09),
}


@dataclass(frozen=True, slots=True)
class Places:
    """The places of pixels on a plane: coordinates `u`, `v` (H, W) in m, and the width of a pixel along each."""

    u: Float32Array
    v: Float32Array
    u_width: Float32Array
    v_width: Float32Array

    @classmethod
    def from_coordinates(cls, u: Float64Array, v: Float64Array) -> Places:
        """Return places whose widths are measured from the neighbours of each pixel."""
        widths = [np.abs(np.gradient(w, axis=0)) + np.abs(np.gradient(w, axis=1)) for w in (u, v)]
        return cls(*(np.asarray(a, np.float32) for a in (u, v, *(w.clip(1e-3, 1e3) for w in widths))))


class Ground:
    """The ground of one street; its tones are drawn once."""

    def __init__(self, rng: np.random.Generator, plan: Plan, texture: Texture, *, snow: bool) -> None:
        self._plan, self._texture, self._snow = plan, texture, snow
        self._tones = {name: pick(rng, surface.tones, 0.08) for name, surface in SURFACES.items()}
        self._kerb = pick(rng, ((0.75, 0.74, 0.72), (0.6, 0.6, 0.58)))
        self._paint = pick(rng, ((0.92, 0.92, 0.9), (0.85, 0.85, 0.8), (0.9, 0.78, 0.3)))
        self._wear = rng.uniform(0.3, 0.9)
        self._edge_lines = rng.random() < 0.5
        self._cracks = rng.uniform(0, 0.4)

    def paint(self, places: Places) -> Float32Array:
        """Return the colours (H, W, 3), 0 to 1, in full light."""
        image = np.zeros((*places.u.shape, 3), np.float32)
        right, left = self._plan.walls
        strips = [(band.low, band.high, band.surface) for band in self._plan.bands]
        strips += [(-1e6, right, self._plan.beyond), (left, 1e6, self._plan.beyond)]
        surfaces = {name: self._surface(name, places) for name in sorted({name for _, _, name in strips})}
        for low, high, name in strips:
            image += between(places.v, low, high, places.v_width)[..., None] * surfaces[name]
        self._lawns(image, places)
        self._markings(image, places)
        if self._snow:
            self._lay_snow(image, places)
        return image

    def _surface(self, name: str, places: Places) -> Float32Array:
        surface, texture = SURFACES[name], self._texture
        u, v, width = places.u, places.v, places.u_width + places.v_width
        # The grain fades where a pixel is wider than it.
        grain = sample(texture.fine, u / 0.03, v / 0.03) / (1 + (width / 0.03) ** 2)
        clumps = sample(texture.rough, u / 0.012, v / 0.012) / (1 + width / 0.15)
        patches = sample(texture.rough, u / 0.11, v / 0.11)
        light = 1 + surface.grain * (grain + 0.6 * clumps) + surface.patches * patches
        if surface.joints is not None:
            gap = 0.02 if surface.joints[0] > 0.3 else 0.012
            along, across = surface.joints
            joints = np.maximum(lines(u, along, gap, places.u_width), lines(v, across, gap, places.v_width))
            light *= 1 - 0.4 * joints
        elif name == "asphalt":
            # Cracks lie where the rough texture passes zero; they blur and fade where a pixel is wide.
            blur = 0.02 + 0.3 * width
            crack = (1 - np.abs(sample(texture.rough, u / 0.06 + 40, v / 0.06)) / blur).clip(0) * 0.02 / blur
            light *= 1 - self._cracks * crack
        image: Float32Array = light[..., None] * self._tones[name].astype(np.float32)
        if name == "grass":
            # Dry patches are yellow, others lush.
            image *= 1 + 0.12 * patches[..., None] * np.array([1.0, 0.3, -0.2], np.float32)
        return image

    def _lawns(self, image: Float32Array, places: Places) -> None:
        """Lay the lawns of a square, with a wavy dark rim, over `image`."""
        for a, b, c in self._plan.lawns:
            wobble = 0.35 * sample(self._texture.rough, places.u / 0.06, places.v / 0.06)
            depth = a * places.u + b * places.v - c + wobble
            share = between(depth.astype(np.float32), 0, 1e6, places.u_width + places.v_width)[..., None]
            image += share * (self._surface("grass", places) - image)
            image *= 1 - 0.35 * between(depth, -0.15, 0.05, places.u_width + places.v_width)[..., None]

    def _markings(self, image: Float32Array, places: Places) -> None:
        """Paint lane lines, kerbs and a zebra crossing over `image`."""
        road = next((band for band in self._plan.bands if band.use == "road"), None)
        if road is None:
            return
        u, v, u_width, v_width = places.u, places.v, places.u_width, places.v_width
        worn = 1 - self._wear * (sample(self._texture.rough, u / 0.05, v / 0.05) > 0.7)
        dashes = lines(u, 6.0, 3.0, u_width)
        for y in sorted({lane.y for lane in self._plan.lanes})[:-1]:
            width = self._plan.lanes[1].y - self._plan.lanes[0].y
            middle = y + abs(width) / 2
            line = between(v, middle - 0.07, middle + 0.07, v_width)
            self._blend(image, line * worn * (1 if abs(middle) < 0.1 and self._edge_lines else dashes), self._paint)
        for edge, inward in ((road.low, 1), (road.high, -1)):
            if self._edge_lines:
                start, end = sorted((edge + inward * 0.25, edge + inward * 0.37))
                self._blend(image, between(v, start, end, v_width) * worn, self._paint)
            start, end = sorted((edge, edge - inward * 0.15))
            self._blend(image, between(v, start, end, v_width), self._kerb)
            start, end = sorted((edge, edge + inward * 0.2))
            self._blend(image, 0.35 * between(v, start, end, v_width), self._kerb * 0.3)
        if self._plan.crossing is not None:
            bars = lines(v, 1.0, 0.5, v_width) * between(v, road.low + 0.3, road.high - 0.3, v_width)
            stretch = between(u, self._plan.crossing - 1.6, self._plan.crossing + 1.6, u_width)
            self._blend(image, bars * stretch * worn, np.array([0.9, 0.9, 0.88]))

    @staticmethod
    def _blend(image: Float32Array, share: npt.NDArray[np.floating], colour: Float64Array) -> None:
        image += share[..., None].astype(np.float32) * (colour.astype(np.float32) - image)

    def _lay_snow(self, image: Float32Array, places: Places) -> None:
        """Cover `image` with snow, thin where vehicles drive."""
        drifts = 0.85 + 0.12 * sample(self._texture.rough, places.u / 0.05, places.v / 0.05)
        for lane in self._plan.lanes:
            drifts -= 0.45 * between(np.abs(places.v - lane.y), 0.4, 1.1, places.v_width)
        self._blend(image, drifts.clip(0, 1), np.array([0.9, 0.92, 0.95]))
