"""Ground, houses and sky, evaluated for every pixel by its ray."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.scene.camera import Camera
from streamdet.scene.colour import pick
from streamdet.scene.facade import Facade
from streamdet.scene.ground import Ground, Places
from streamdet.scene.light import Light
from streamdet.scene.noise import Noise, sample
from streamdet.scene.plan import Plan
from streamdet.scene.weather import Air
from streamdet.types import Float32Array, Float64Array, UInt8Array

# What a pixel of the backdrop shows when it shows no item.
GROUND, BEHIND = 0, 1
_ROOF = np.array([0.42, 0.40, 0.39], np.float32)
# Nothing is painted farther away than this; the horizon is sky.
_END_M, _LAST_HOUSE_M = 500.0, 400.0
# The height over which the shadow of a roof fades in.
_PENUMBRA_M = 0.3


class Surroundings:
    """Ground, houses and sky of one street."""

    def __init__(self, rng: np.random.Generator, plan: Plan, light: Light, air: Air, noise: Noise) -> None:
        self._plan, self._light, self._air, self._noise = plan, light, air, noise
        self._ground = Ground(rng, plan, noise, snow=air.snow)
        lit = rng.uniform(0.15, 0.5) if light.dark else 0.0
        self._facades = (Facade(rng, noise, lit), Facade(rng, noise, lit))
        self._trees = pick(rng, ((0.22, 0.28, 0.16), (0.3, 0.33, 0.27), (0.4, 0.42, 0.46)), 0.1).astype(np.float32)
        self._skyline = rng.uniform(0.01, 0.07)

    def paint(self, camera: Camera, canvas_size: tuple[int, int]) -> tuple[Float32Array, UInt8Array]:
        """Return the colours (H, W, 3) that `camera` sees, and whether each pixel is GROUND or BEHIND."""
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
        """Return whether the sun reaches `place` (3,) m past the houses."""
        return bool(self._sun(place[None, None])[0, 0] > 0.5)

    def _ground_light(self, eye: Float32Array, rays: Float32Array, down: Float32Array) -> Float32Array:
        places = eye + np.minimum(down, _END_M)[..., None] * rays
        colours = self._ground.paint(Places.of(places[..., 0], places[..., 1]))
        places[..., 2] = 0
        light = self._light.around(places)
        light += self._light.sun * self._light.towards_sun[2].clip(0) * self._sun(places)[..., None]
        return np.asarray(colours * light, np.float32)

    def _sun(self, places: Float64Array) -> Float32Array:
        """Return how much (H, W) of the sun reaches `places` (H, W, 3) on the ground."""
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
        """Paint the houses of one `side` (0 right, 1 left) and return which pixels they take."""
        facade, sign = self._facades[side], 1 if side else -1
        looking = rays[..., 1] * sign > 1e-4
        if not self._plan.walled[side] or not looking.any():
            return np.zeros(looking.shape, bool)
        at_wall = (self._plan.walls[side] - eye[1]) / np.where(looking, rays[..., 1], np.inf)
        at_wall = np.minimum(at_wall, _END_M)
        u, z = eye[0] + at_wall * rays[..., 0], eye[2] + at_wall * rays[..., 2]
        height = facade.height_at(u)
        hit = looking & (z >= 0) & (z < height) & (at_wall < _LAST_HOUSE_M) & (at_wall > 0)
        # Above the wall, on the way down: a roof.
        roof = looking & (z >= height) & (rays[..., 2] < 0) & (height > 0) & (at_wall < _LAST_HOUSE_M)
        colours, glow = facade.paint(Places.of(u, z))
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
        np.copyto(image, colours, where=where[..., None], casting="same_kind")
        np.copyto(reach, at, where=where)

    def _sky(self, rays: Float32Array) -> Float32Array:
        """Return clouds, and trees along the horizon."""
        up = rays[..., 2] / np.linalg.norm(rays, axis=-1)
        around = np.arctan2(rays[..., 1], rays[..., 0])
        overhead = 1 / np.maximum(up, 0.05)
        clouds = sample(self._noise.rough, around * 60 + 10 * overhead, 14 * overhead)
        image = self._air.sky(up.clip(0, 1), clouds)
        heights = self._skyline * (1 + 0.5 * sample(self._noise.rough, around * 90, np.zeros_like(around)))
        speckle = 1 + 0.12 * sample(self._noise.rough, around * 700, up * 700)
        trees = self._trees * speckle[..., None] * self._light.sky.astype(np.float32)
        hazy = 0.65 * trees + 0.35 * self._air.haze.astype(np.float32)
        np.copyto(image, hazy, where=(up < heights)[..., None])
        return image
