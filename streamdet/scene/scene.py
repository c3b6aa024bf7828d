"""A street that moves: every frame of it, and the truth about what it shows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from streamdet.scene.backdrop import paint_backdrop
from streamdet.scene.camera import Camera
from streamdet.scene.furnishing import furnish
from streamdet.scene.furniture import LAMP_HEIGHT_M, Item
from streamdet.scene.light import Light, draw_light, lamp_colour
from streamdet.scene.noise import Noise
from streamdet.scene.painter import Stage
from streamdet.scene.plan import draw_plan
from streamdet.scene.sensor import Sensor
from streamdet.scene.settings import SceneSettings
from streamdet.scene.surroundings import Surroundings
from streamdet.scene.sway import MANNERS, Sway
from streamdet.scene.traffic import CROWDS, Traffic
from streamdet.scene.truth import SceneTruth
from streamdet.scene.viewpoint import draw_camera
from streamdet.scene.weather import Precipitation, draw_air
from streamdet.types import UInt8Array


class Scene:
    """A street rendered from `settings` alone: the same settings give the same pixels and truth in every process.

    Frames may be asked for in any order. `size` is width and height in px; `frame_rate` in Hz; `actors` are all that
    ever move or stand on `stage`.
    """

    def __init__(self, settings: SceneSettings) -> None:
        self.size, self.frame_rate = settings.size, settings.fps
        self.frame_count = max(int(settings.seconds * settings.fps), 1)
        self.settings = settings = settings.drawn(_stream(settings, "settings"))
        self._sway = Sway(MANNERS[settings.camera], self.size, _stream(settings, "sway"))
        plan = draw_plan(_stream(settings, "plan"))
        canvas_size = self._sway.canvas_size
        self._camera = draw_camera(_stream(settings, "camera"), plan, canvas_size, self.size[0])
        rng = _stream(settings, "season")
        cold = settings.weather == "snow" or bool(rng.random() < 0.5)
        leafless = settings.weather == "snow" or (cold and bool(rng.random() < 0.5))
        items = furnish(_stream(settings, "items"), plan, self._camera, leafless=leafless)
        light = _lit(draw_light(_stream(settings, "light"), settings.time, settings.weather), items, rng)
        air = draw_air(_stream(settings, "air"), settings.weather, light)
        noise = Noise(_stream(settings, "noise"))
        surroundings = Surroundings(_stream(settings, "surroundings"), plan, light, air, noise)
        backdrop = paint_backdrop(surroundings, self._camera, canvas_size, items, light, air)
        self.stage = Stage(surroundings, backdrop, light, air, self.size, noise)
        rng = _stream(settings, "traffic")
        seconds = float(settings.seconds)
        traffic = Traffic(rng, plan, self._camera, canvas_size, seconds, items, cold=cold)
        traffic.fill(*_counts(settings.crowd, seconds, rng))
        self.actors = tuple(traffic.actors)
        self._precipitation = Precipitation(_stream(settings, "drops"), settings.weather, self.size)
        self._sensor = Sensor(_stream(settings, "sensor"), self.size, backdrop.image, dark=settings.time == "night")

    def frame(self, index: int) -> UInt8Array:
        """Return frame `index`, from 0, as uint8 (H, W, 3) RGB; raises IndexError outside the scene."""
        return self.render(index)[0]

    def truth(self, index: int) -> SceneTruth:
        """Return the objects of frame `index`, from 0; raises IndexError outside the scene."""
        return self._paint(index)[1]

    def render(self, index: int) -> tuple[UInt8Array, SceneTruth]:
        """Return frame and truth, which are painted together; raises IndexError outside the scene."""
        image, truth = self._paint(index)
        self._precipitation.fall(image, self._time_s(index))
        return self._sensor.expose(image, index), truth

    def camera_at(self, index: int) -> Camera:
        """Return the camera as it looks in frame `index`."""
        return replace(self._camera, to_image=self._sway.to_image(self._time_s(index)))

    def _paint(self, index: int) -> tuple[UInt8Array, SceneTruth]:
        if not 0 <= index < self.frame_count:
            raise IndexError(f"expected a frame from 0 to {self.frame_count - 1}, found {index}")
        return self.stage.paint(self.actors, self.camera_at(index), self._time_s(index))

    def _time_s(self, index: int) -> float:
        return float(Fraction(index) / self.frame_rate)


def _stream(settings: SceneSettings, concept: str) -> np.random.Generator:
    """Return the random numbers of one `concept`, so that drawing more for one does not change another."""
    return np.random.default_rng([settings.seed, *concept.encode()])


def _lit(light: Light, items: list[Item], rng: np.random.Generator) -> Light:
    """Return `light` with the lamps of `items`, when they are on."""
    places = [(*item.place, LAMP_HEIGHT_M) for item in items if item.is_lamp]
    if not light.dark or not places:
        return light
    return replace(light, lamp=lamp_colour(rng), lamps=np.array(places))


def _counts(crowd: str, seconds: float, rng: np.random.Generator) -> tuple[int, int]:
    """Return how many actors are there from the start, and how many come by later."""
    if crowd.isdecimal():
        return int(crowd), 0
    present = int(rng.integers(*CROWDS[crowd]))
    # Those who move are gone after some 20 s, and others come.
    return present, round(present * seconds / 20)
