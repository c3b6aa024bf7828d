"""A scene: settings from ``scene://street?seed=7&weather=rain``, rendered frames, and their ground truth."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from streamdet.errors import InputError, closest
from streamdet.scene.backdrop import Surroundings, paint_backdrop
from streamdet.scene.camera import MANNERS, Camera, Sensor, Sway, draw_camera
from streamdet.scene.furniture import LAMP_HEIGHT_M, Item, furnish
from streamdet.scene.ground import Texture
from streamdet.scene.light import WEATHERS, Light, Precipitation, draw_air, draw_light, lamp_colour
from streamdet.scene.painter import Painter
from streamdet.scene.plan import draw_plan
from streamdet.scene.traffic import CROWDS, Traffic
from streamdet.scene.truth import SceneTruth
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.location import RenderedUrl
from streamdet.video.picture import Picture

TIMES = ("day", "dusk", "night")
ANY = "any"
_CHOICES = {"time": TIMES, "weather": WEATHERS, "camera": tuple(MANNERS), "crowd": tuple(CROWDS)}
_SIDES_PX = (64, 4096)
_LONGEST_NUMBER = 18
_MOST_SECONDS, _MOST_HZ, _MOST_ACTORS = 120, 240, 500


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """The settings of a scene; equal settings give equal pixels.

    `size` is width and height in px, `fps` in Hz. `time`, `weather`, `camera` and `crowd` are one of their words, or
    "any" to choose one by `seed`; `crowd` may also be the number of persons and vehicles.
    """

    seed: int = 0
    seconds: Fraction = Fraction(10)
    fps: Fraction = Fraction(25)
    size: tuple[int, int] = (768, 432)
    time: str = "day"
    weather: str = "clear"
    camera: str = "fixed"
    crowd: str = "some"

    def drawn(self, rng: np.random.Generator) -> SceneOptions:
        """Return these settings with every "any" replaced by a choice of `rng`."""
        chosen = {}
        # Every choice is drawn, also when it is not needed, so that one setting does not change another.
        for name, words in _CHOICES.items():
            word = str(words[rng.integers(len(words))])
            given = getattr(self, name)
            chosen[name] = word if given == ANY else given
        return SceneOptions(self.seed, self.seconds, self.fps, self.size, **chosen)


def parse_scene_url(url: str) -> SceneOptions:
    """Return the settings in `url`; raises InputError for another scene, an unknown name or a wrong value."""
    parts = urlsplit(url)
    if parts.netloc != "street" or parts.path not in ("", "/"):
        raise InputError(f"expected scene://street, the one scene there is, found {url!r}")
    known = [field.name for field in fields(SceneOptions)]
    found: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise InputError(f"expected a setting of a scene, found {name!r}{closest(name, known)}")
        if name in found:
            raise InputError(f"expected every setting of a scene once, found {name!r} twice")
        found[name] = _READERS[name](name, value)
    return SceneOptions(**found)


def _whole(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > _LONGEST_NUMBER:
        raise InputError(f"expected a whole number of 0 or more for {name}, found {value!r}")
    return int(value)


def _positive(most: int, name: str, value: str) -> Fraction:
    try:
        number = Fraction(value) if len(value) <= _LONGEST_NUMBER else Fraction(0)
    except (ValueError, ZeroDivisionError):
        number = Fraction(0)
    if not 0 < number <= most:
        raise InputError(f"expected a number above 0 and at most {most} for {name}, found {value!r}")
    return number


def _size(name: str, value: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value)
    if sides is None or not all(_SIDES_PX[0] <= int(side) <= _SIDES_PX[1] for side in sides.groups()):
        raise InputError(
            f"expected WIDTHxHEIGHT of {_SIDES_PX[0]} to {_SIDES_PX[1]} px for {name}, such as 768x432, found {value!r}"
        )
    return int(sides[1]), int(sides[2])


def _word(name: str, value: str) -> str:
    words = [*_CHOICES[name], ANY]
    if name == "crowd" and value.isdecimal() and int(value) <= _MOST_ACTORS:
        return value
    if value not in words:
        more = f", or a number up to {_MOST_ACTORS}" if name == "crowd" else ""
        raise InputError(f"expected {', '.join(words)}{more} for {name}, found {value!r}{closest(value, words)}")
    return value


_READERS: dict[str, Callable[[str, str], object]] = {
    "seed": _whole,
    "seconds": partial(_positive, _MOST_SECONDS),
    "fps": partial(_positive, _MOST_HZ),
    "size": _size,
    **dict.fromkeys(_CHOICES, _word),
}


class Scene:
    """A street rendered from `settings` alone: the same settings give the same pixels and truth in every process.

    Frames can be rendered in any order. `size` is width and height in px, `frame_rate` in Hz; `actors` are all persons
    and vehicles that ever appear, and `painter` paints them.
    """

    def __init__(self, settings: SceneOptions) -> None:
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
        texture = Texture(_stream(settings, "noise"))
        surroundings = Surroundings(_stream(settings, "surroundings"), plan, light, air, texture)
        backdrop = paint_backdrop(surroundings, self._camera, canvas_size, items, light, air)
        self.painter = Painter(surroundings, backdrop, light, air, self.size, texture)
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

    def truth(self, index: int, *, shapes: bool = False) -> SceneTruth:
        """Return the ground truth of frame `index`, from 0, with `shapes` also masks, key points and rotated boxes.

        Raises IndexError outside the scene.
        """
        return self._paint(index, shapes)[1]

    def render(self, index: int, *, shapes: bool = False) -> tuple[UInt8Array, SceneTruth]:
        """Return `frame(index)` and `truth(index, shapes=shapes)`, painted only once; raises IndexError as they do."""
        image, truth = self._paint(index, shapes)
        self._precipitation.fall(image, self._time_s(index))
        return self._sensor.expose(image, index), truth

    def camera_at(self, index: int) -> Camera:
        """Return the camera as it looks in frame `index`."""
        return replace(self._camera, to_image=self._sway.to_image(self._time_s(index)))

    def _paint(self, index: int, shapes: bool) -> tuple[UInt8Array, SceneTruth]:
        if not 0 <= index < self.frame_count:
            raise IndexError(f"expected a frame from 0 to {self.frame_count - 1}, found {index}")
        return self.painter.paint(self.actors, self.camera_at(index), self._time_s(index), shapes=shapes)

    def _time_s(self, index: int) -> float:
        return float(Fraction(index) / self.frame_rate)


def _stream(settings: SceneOptions, concept: str) -> np.random.Generator:
    """Return a generator seeded by `concept`, so that drawing more for one does not change another."""
    return np.random.default_rng([settings.seed, *concept.encode()])


def _lit(light: Light, items: list[Item], rng: np.random.Generator) -> Light:
    """Return `light` with the lamps among `items` switched on when it is dark."""
    places = [(*item.place, LAMP_HEIGHT_M) for item in items if item.is_lamp]
    if not light.dark or not places:
        return light
    return replace(light, lamp=lamp_colour(rng), lamps=np.array(places))


def _counts(crowd: str, seconds: float, rng: np.random.Generator) -> tuple[int, int]:
    """Return the number of actors at the start, and of those that come by later."""
    if crowd.isdecimal():
        return int(crowd), 0
    present = int(rng.integers(*CROWDS[crowd]))
    # Moving actors are out of sight after about 20 s; others replace them.
    return present, round(present * seconds / 20)


class SceneReader:
    """Reads the scene at `location` like a video, rendering each frame on demand; raises InputError for a wrong URL."""

    damaged = 0

    def __init__(self, location: RenderedUrl) -> None:
        self._scene = Scene(parse_scene_url(location.name))
        self._stopped = threading.Event()
        width, height = self._scene.size
        self.info = VideoInfo(width, height, self._scene.frame_rate, self._scene.frame_count, live=False)

    @property
    def warnings(self) -> list[str]:
        """Always empty: rendering gives no warnings."""
        return []

    def pictures(self) -> Iterator[Picture]:
        """Yield the frames in order; frame k has time k / frame rate."""
        for index in range(self._scene.frame_count):
            if self._stopped.is_set():
                return
            yield Picture(index, 1 / self._scene.frame_rate, partial(self._scene.frame, index))

    def stop(self) -> None:
        """End `pictures` after the current frame; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Do nothing: no resources are held between frames."""
