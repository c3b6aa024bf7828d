"""Who walks, stands and sits in a street."""

from __future__ import annotations

import numpy as np

from streamdet.scene.actor import Cast
from streamdet.scene.furniture import Item
from streamdet.scene.path import standing, steps, through, wander
from streamdet.scene.person import Person
from streamdet.scene.plan import Plan


class OnFoot:
    """Draws people for a scene of `seconds`, who dress for `cold` weather and sit on the benches among `items`.

    Every kind is drawn for a place, x and y in m, and a time in s; where it does not belong, nobody comes.
    """

    def __init__(self, rng: np.random.Generator, plan: Plan, seconds: float, items: list[Item], *, cold: bool) -> None:
        self._rng, self._plan, self._count, self._cold = rng, plan, steps(seconds), cold
        self._benches = [item for item in items if item.is_bench]

    def walker(self, x: float, y: float, time_s: float) -> Cast:
        """Return someone who walks, or now and then runs."""
        return self._abreast(x, y, time_s, 1)

    def group(self, x: float, y: float, time_s: float) -> Cast:
        """Return two or three who walk side by side."""
        return self._abreast(x, y, time_s, int(self._rng.integers(2, 4)))

    def bystander(self, x: float, y: float, time_s: float) -> Cast:
        """Return someone who sits on a bench near by, or stands."""
        if not self._plan.is_off_road(y):
            return []
        rng = self._rng
        for bench in self._benches:
            if np.hypot(bench.place[0] - x, bench.place[1] - y) < 6:
                place = (bench.place[0] + rng.choice([-0.4, 0.4]), bench.place[1])
                facing = -np.pi / 2 if bench.place[1] >= 0 else np.pi / 2
                return [(Person(rng, "sit", cold=self._cold), standing(place, facing, self._count))]
        return [(Person(rng, "foot", cold=self._cold), standing((x, y), rng.uniform(0, 2 * np.pi), self._count))]

    def talk(self, x: float, y: float, time_s: float) -> Cast:
        """Return two or three who face each other."""
        if not self._plan.is_off_road(y):
            return []
        rng, count = self._rng, int(self._rng.integers(2, 4))
        turns = rng.uniform(0, 2 * np.pi) + np.arange(count) * 2 * np.pi / count
        places = [(x + 0.55 * np.cos(turn), y + 0.55 * np.sin(turn)) for turn in turns]
        return [
            (Person(rng, "foot", cold=self._cold), standing(place, turn + np.pi, self._count))
            for place, turn in zip(places, turns, strict=True)
        ]

    def _abreast(self, x: float, y: float, time_s: float, count: int) -> Cast:
        """Return `count` people who walk side by side."""
        rng, route = self._rng, self._route(x, y)
        if route is None:
            return []
        heading, turning = route
        speed = float(np.clip(rng.normal(1.3, 0.25), 0.6, 2.0))
        if count == 1 and rng.random() < 0.06:
            speed = rng.uniform(2.2, 3.6)
        headings, speeds = wander(rng, heading, speed, self._count, turning if count == 1 else turning / 2)
        path = through((x, y), time_s, headings, speeds)
        paths = [path] + [path.shifted(rng.uniform(-0.25, 0.25), 0.62 * i) for i in range(1, count)]
        low, high = self._plan.between_walls(margin=0.4)
        return [(Person(rng, "foot", cold=self._cold, speed=speed), each.within(low, high)) for each in paths]

    def _route(self, x: float, y: float) -> tuple[float, float] | None:
        """Return heading and turning in rad of someone who walks at (`x`, `y`); None where nobody does."""
        rng, plan = self._rng, self._plan
        band = plan.band_at(y)
        if band is None:
            return None
        if plan.square:
            return rng.uniform(0, 2 * np.pi), rng.choice([0.1, 0.5])
        across = np.pi / 2 * rng.choice([-1, 1])
        if band.use == "walk":
            return np.pi * rng.integers(2), 0.12
        if plan.crossing is not None and abs(x - plan.crossing) < 4:
            return across, 0.08
        return (across + rng.uniform(-0.5, 0.5), 0.1) if rng.random() < 0.15 else None
