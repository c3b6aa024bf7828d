"""The still part of a scene, painted once: ground, houses and sky along the ray of each pixel, and furniture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scene.camera import Camera
from streamdet.scene.figures import SILHOUETTE, pick, rasterise
from streamdet.scene.furniture import Item
from streamdet.scene.ground import Ground, Places, Texture, between, lines, sample
from streamdet.scene.light import Air, Light, darken
from streamdet.scene.plan import Plan
from streamdet.types import Float32Array, Float64Array, Int64Array, UInt8Array

# What a pixel of the backdrop shows: the ground, houses and sky, or an item, numbered from FIRST_ITEM.
GROUND, BEHIND, FIRST_ITEM = 0, 1, 2
# The ground ends at the first distance, where the horizon is sky, the houses at the second.
_END_M, _LAST_HOUSE_M = 500.0, 400.0
# The height over which the shadow of a roof fades in.
_PENUMBRA_M = 0.3
# Items nearer than this are not painted.
_LEAST_DEPTH_M = 1.0
_HOUSES = 24
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
_ROOF = np.array([0.42, 0.40, 0.39], np.float32)


class Facade:
    """The houses on one side of a street, a wall evaluated pixel by pixel; `lit` is the share of lit windows."""

    def __init__(self, rng: np.random.Generator, texture: Texture, lit: float) -> None:
        self._texture = texture
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
        """Return the colours and the light given off, both (H, W, 3), at `places` along the wall and above ground."""
        u, z = places.u, places.v
        house = self.house_at(u.astype(np.float64))
        image = self._plaster(places, house)
        window, frame, glow = self._windows(places, house)
        image += frame[..., None] * (self._frames[house] - image)
        reflection = 1 + 0.25 * sample(self._texture.rough, u / 0.15, z / 0.1)[..., None]
        image += window[..., None] * (self._glass[house] * reflection - image)
        board = between(z, 2.6, 3.2, places.v_width) * self._is_shop[house]
        image += board[..., None] * (self._shops[house] - image)
        image *= (1 - 0.5 * between(z, 0.0, 0.25, places.v_width))[..., None]
        return image, glow[..., None] * np.array([1.0, 0.8, 0.45], np.float32)

    def _plaster(self, places: Places, house: Int64Array) -> Float32Array:
        u, z = places.u, places.v
        courses = lines(z, 0.075, 0.012, places.v_width) * self._bricks[house]
        dirt = sample(self._texture.rough, u / 0.08, z / 0.15) + sample(self._texture.rough, u / 0.015, z / 0.015)
        light = (1 + 0.03 * dirt) * (1 - 0.35 * courses)
        wall: Float32Array = light[..., None] * self._walls[house]
        return wall

    def _windows(self, places: Places, house: Int64Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Return the share of glass and of frame in each pixel (H, W), and the light of its window."""
        storey, pitch = self._storeys[house], self._pitches[house]
        ground_floor = (places.v < storey) & self._is_shop[house]
        wide = np.where(ground_floor, 0.88, self._shares[0][house])
        tall = np.where(ground_floor, 0.72, self._shares[1][house])
        column, row = np.floor(places.u / pitch), np.floor(places.v / storey)
        across, up = places.u - (column + 0.5) * pitch, places.v - (row + 0.52) * storey
        half = (wide * pitch / 2, tall * storey / 2)

        def inside(rim: float) -> Float32Array:
            # Distances to the nearest sides of the window, in px.
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


class Surroundings:
    """Ground, houses and sky of one street."""

    def __init__(self, rng: np.random.Generator, plan: Plan, light: Light, air: Air, texture: Texture) -> None:
        self._plan, self._light, self._air, self._texture = plan, light, air, texture
        self._ground = Ground(rng, plan, texture, snow=air.snow)
        lit = rng.uniform(0.15, 0.5) if light.dark else 0.0
        self._facades = (Facade(rng, texture, lit), Facade(rng, texture, lit))
        self._trees = pick(rng, ((0.22, 0.28, 0.16), (0.3, 0.33, 0.27), (0.4, 0.42, 0.46)), 0.1).astype(np.float32)
        self._skyline = rng.uniform(0.01, 0.07)

    def paint(self, camera: Camera, canvas_size: tuple[int, int]) -> tuple[Float32Array, UInt8Array]:
        """Return the colours (H, W, 3) that `camera` sees, and GROUND or BEHIND for each pixel (H, W)."""
        rays = camera.rays(*canvas_size)
        eye = np.array(camera.position, np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            down = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
        image, reach = self._sky(rays), np.full(rays.shape[:2], np.inf)
        on_ground = down < _END_M
        self._lay(image, reach, self._ground_light(eye, rays, down), down, on_ground)
        for side in (0, 1):
            on_ground &= ~self._wall(side, image, reach, eye, rays)
        distance = reach * np.linalg.norm(rays, axis=-1)
        return self._air.veil(image, distance), np.where(on_ground, GROUND, BEHIND).astype(np.uint8)

    def sunlit(self, place: Float64Array) -> bool:
        """Return whether the houses leave `place` (3,) m in the sun."""
        return bool(self._sun(place[None, None])[0, 0] > 0.5)

    def _ground_light(self, eye: Float32Array, rays: Float32Array, down: Float32Array) -> Float32Array:
        """Return the lit ground (H, W, 3) that `rays` from `eye` reach after `down` (H, W) times their lengths."""
        places = eye + np.minimum(down, _END_M)[..., None] * rays
        colours = self._ground.paint(Places.from_coordinates(places[..., 0], places[..., 1]))
        places[..., 2] = 0
        light = self._light.around(places)
        light += self._light.sun * self._light.towards_sun[2].clip(0) * self._sun(places)[..., None]
        return np.asarray(colours * light, np.float32)

    def _sun(self, places: Float64Array) -> Float32Array:
        """Return the share (H, W) of the sun that reaches `places` (H, W, 3) on the ground, past the houses."""
        sun = self._light.towards_sun
        lit = np.ones(places.shape[:2], np.float32)
        side = int(sun[1] > 0)
        if self._light.shadow > 0.1 and self._plan.walled[side]:
            # Towards the sun, the wall is (y_wall - y) / s_y away.
            reach = (self._plan.walls[side] - places[..., 1]) / sun[1]
            height = self._facades[side].height_at(places[..., 0] + reach * sun[0])
            edge = (reach * sun[2] - height) / _PENUMBRA_M + 0.5
            lit = np.where(reach > 0, edge.clip(0, 1), 1).astype(np.float32)
        return lit

    def _wall(
        self, side: int, image: Float32Array, reach: Float32Array, eye: Float32Array, rays: Float32Array
    ) -> npt.NDArray[np.bool_]:
        """Paint the houses of one `side` (0 right, 1 left) and return the mask (H, W) of their pixels."""
        facade, sign = self._facades[side], 1 if side else -1
        looking = rays[..., 1] * sign > 1e-4
        if not self._plan.walled[side] or not looking.any():
            return np.zeros(looking.shape, bool)
        at_wall = (self._plan.walls[side] - eye[1]) / np.where(looking, rays[..., 1], np.inf)
        at_wall = np.minimum(at_wall, _END_M)
        u, z = eye[0] + at_wall * rays[..., 0], eye[2] + at_wall * rays[..., 2]
        height = facade.height_at(u)
        hit = looking & (z >= 0) & (z < height) & (at_wall < _LAST_HOUSE_M) & (at_wall > 0)
        # A ray that passes above the wall, downwards, hits the roof.
        roof = looking & (z >= height) & (rays[..., 2] < 0) & (height > 0) & (at_wall < _LAST_HOUSE_M)
        colours, glow = facade.paint(Places.from_coordinates(u, z))
        normal = np.array([[0.0, -float(sign), 0.0]])
        light = self._light.shade(normal, self._light.sky)[0]
        self._lay(image, reach, np.asarray(colours * light + glow, np.float32), at_wall, hit)
        self._lay(image, reach, np.broadcast_to(_ROOF * self._light.sky, image.shape), at_wall, roof)
        taken: npt.NDArray[np.bool_] = hit | roof
        return taken

    @staticmethod
    def _lay(
        image: Float32Array,
        reach: Float32Array,
        colours: npt.NDArray[np.floating],
        at: Float32Array,
        where: npt.NDArray[np.bool_],
    ) -> None:
        """Copy `colours` to `image` and `at`, in lengths of the rays, to `reach` inside the mask `where`."""
        np.copyto(image, colours, where=where[..., None], casting="same_kind")
        np.copyto(reach, at, where=where)

    def _sky(self, rays: Float32Array) -> Float32Array:
        """Return the sky (H, W, 3) with clouds, and trees along the horizon."""
        up = rays[..., 2] / np.linalg.norm(rays, axis=-1)
        around = np.arctan2(rays[..., 1], rays[..., 0])
        overhead = 1 / np.maximum(up, 0.05)
        clouds = sample(self._texture.rough, around * 60 + 10 * overhead, 14 * overhead)
        image = self._air.sky(up.clip(0, 1), clouds)
        heights = self._skyline * (1 + 0.5 * sample(self._texture.rough, around * 90, np.zeros_like(around)))
        speckle = 1 + 0.12 * sample(self._texture.rough, around * 700, up * 700)
        trees = self._trees * speckle[..., None] * self._light.sky.astype(np.float32)
        hazy = 0.65 * trees + 0.35 * self._air.haze.astype(np.float32)
        np.copyto(image, hazy, where=(up < heights)[..., None])
        return image


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The picture uint8 (H, W, 3) of the canvas, and what each of its pixels shows.

    `shown` uint8 (H, W) is GROUND, BEHIND (houses and sky, which hide no actor) or FIRST_ITEM + an index of `items`.
    """

    image: UInt8Array
    shown: UInt8Array
    items: tuple[Item, ...]


def paint_backdrop(
    surroundings: Surroundings, camera: Camera, canvas_size: tuple[int, int], items: list[Item], light: Light, air: Air
) -> Backdrop:
    """Return the picture of `surroundings` with `items` in it, as the resting `camera` sees them."""
    colours, shown = surroundings.paint(camera, canvas_size)
    image = (colours.clip(0, 1) * 255).astype(np.uint8)
    camera = replace(camera, to_image=np.eye(2, 3))
    if light.shadow > 0:
        sunny = [item for item in items if surroundings.sunlit(np.array([*item.place, 0.0]))]
        darken(image, [outline for item in sunny for outline in item.shadow(light)], light.shadow, camera, shown)
    depths = [camera.project(np.array([[*item.place, 0.0]]))[1][0] for item in items]
    for number in np.argsort(depths)[::-1]:
        if depths[number] < _LEAST_DEPTH_M:
            continue
        sprite = rasterise(items[number].polygons(camera, light), canvas_size)
        if sprite is None:
            continue
        area = image[sprite.rows, sprite.columns]
        colour = air.veil_sprite(sprite.colour, sprite.cover, float(depths[number]))
        area[:] = cv2.add(colour, cv2.multiply(area, cv2.merge([255 - sprite.cover] * 3), scale=1 / 255))
        shown[sprite.rows, sprite.columns][sprite.cover >= SILHOUETTE] = FIRST_ITEM + number
    return Backdrop(image, shown, tuple(items))
