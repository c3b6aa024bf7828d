"""What a scene's URL says: ``scene://street?seed=7&seconds=10&size=768x432&fps=25&weather=rain``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from streamdet.errors import InputError, closest
from streamdet.scene.sway import MANNERS
from streamdet.scene.traffic import CROWDS
from streamdet.scene.weather import WEATHERS

TIMES = ("day", "dusk", "night")
ANY = "any"
_CHOICES = {"time": TIMES, "weather": WEATHERS, "camera": tuple(MANNERS), "crowd": tuple(CROWDS)}
_SIDES_PX = (64, 4096)
_LONGEST_NUMBER = 18
_MOST_SECONDS, _MOST_HZ, _MOST_ACTORS = 120, 240, 500


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """All that a scene depends on: equal settings give equal pixels.

    `size` is width and height in px, `fps` in Hz. `time`, `weather`, `camera` and `crowd` are one of their words, "any"
    to draw it by `seed`, or for `crowd` the number of persons and vehicles that come by.
    """

    seed: int = 0
    seconds: Fraction = Fraction(10)
    fps: Fraction = Fraction(25)
    size: tuple[int, int] = (768, 432)
    time: str = "day"
    weather: str = "clear"
    camera: str = "fixed"
    crowd: str = "some"

    def drawn(self, rng: np.random.Generator) -> SceneSettings:
        """Return these settings with every "any" replaced by a choice of `rng`."""
        chosen = {}
        # Each choice is drawn whether it is wanted or not, so that one setting does not change another.
        for name, words in _CHOICES.items():
            word = str(words[rng.integers(len(words))])
            given = getattr(self, name)
            chosen[name] = word if given == ANY else given
        return SceneSettings(self.seed, self.seconds, self.fps, self.size, **chosen)


def parse_scene_url(url: str) -> SceneSettings:
    """Return what `url` says; raises InputError for another scene, an unknown name and a value that cannot be used."""
    parts = urlsplit(url)
    if parts.netloc != "street" or parts.path not in ("", "/"):
        raise InputError(f"expected scene://street, the one scene there is, found {url!r}")
    known = [field.name for field in fields(SceneSettings)]
    found: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise InputError(f"expected a setting of a scene, found {name!r}{closest(name, known)}")
        if name in found:
            raise InputError(f"expected every setting of a scene once, found {name!r} twice")
        found[name] = _READERS[name](name, value)
    return SceneSettings(**found)


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
