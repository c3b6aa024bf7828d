"""The actors of a scene: people and vehicles drawn at random places in sight, so that none touches another."""

from __future__ import annotations

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.furniture import Item
from streamdet.scene.hulls import MODELS, WEIGHTS
from streamdet.scene.paths import STEP_S, Actor, Cast, DrawActor, Room, standing, steps, through, wander
from streamdet.scene.people import Person
from streamdet.scene.plan import Plan, TrafficLane
from streamdet.scene.truth import BICYCLE, BUS, MOTORCYCLE
from streamdet.scene.vehicles import Cycle, Vehicle
from streamdet.types import Float64Array

# Numbers of actors at a time, from and below.
CROWDS = {"few": (3, 7), "some": (8, 17), "many": (20, 38)}
_ATTEMPTS = 12
_SMALLEST_PERSON_PX = 14.0
_PARKED = tuple(model for model in MODELS if model.class_id != BUS and model.half_track < 1)


class OnFoot:
    """Draws people for a scene of `seconds`, dressed for `cold` weather or not; some sit on the benches among `items`.

    Each method gets a place, x and y in m, and a time in s; its cast is empty where such people do not belong.
    """

    def __init__(self, rng: np.random.Generator, plan: Plan, seconds: float, items: list[Item], *, cold: bool) -> None:
        self._rng, self._plan, self._count, self._cold = rng, plan, steps(seconds), cold
        self._benches = [item for item in items if item.is_bench]

    def walker(self, x: float, y: float, time_s: float) -> Cast:
        """Return a person who walks, or now and then runs."""
        return self._abreast(x, y, time_s, 1)

    def group(self, x: float, y: float, time_s: float) -> Cast:
        """Return two or three people who walk side by side."""
        return self._abreast(x, y, time_s, int(self._rng.integers(2, 4)))

    def bystander(self, x: float, y: float, time_s: float) -> Cast:
        """Return a person who sits on a bench near by, or stands."""
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
        """Return two or three people who stand and face each other."""
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
        """Return heading and turning in rad of a walker at (`x`, `y`); None where people do not walk."""
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


class OnWheels:
    """Draws vehicles and cycles for a scene of `seconds`; riders are dressed for `cold` weather or not.

    Each method gets a place, x and y in m, and a time in s; its cast is empty where such vehicles do not belong.
    """

    def __init__(self, rng: np.random.Generator, plan: Plan, seconds: float, *, cold: bool) -> None:
        self._rng, self._plan, self._count, self._cold = rng, plan, steps(seconds), cold
        self._flows = {lane: self._flow(lane) for lane in plan.lanes}

    def driver(self, x: float, y: float, time_s: float) -> Cast:
        """Return a vehicle that moves with the traffic of a lane."""
        lane = self._plan.lane_at(y)
        if lane is None:
            return []
        vehicle = Vehicle(MODELS[self._rng.choice(len(MODELS), p=WEIGHTS)], self._rng)
        return [(vehicle, through((x, lane.y), time_s, np.full(self._count, lane.heading), self._flows[lane]))]

    def parked(self, x: float, y: float, time_s: float) -> Cast:
        """Return a parked vehicle, or a cycle in its place."""
        band = self._plan.band_at(y)
        if band is None or band.use != "parking":
            return []
        if self._rng.random() < 0.2:
            return self.parked_cycle(x, y, time_s)
        vehicle = Vehicle(_PARKED[self._rng.integers(len(_PARKED))], self._rng, parked=True)
        heading = np.pi * self._rng.integers(2) + self._rng.normal(0, 0.02)
        return [(vehicle, standing((x, (band.low + band.high) / 2), heading, self._count))]

    def parked_cycle(self, x: float, y: float, time_s: float) -> Cast:
        """Return a cycle that stands somewhere off the road."""
        if not self._plan.is_off_road(y):
            return []
        cycle = Cycle(BICYCLE if self._rng.random() < 0.6 else MOTORCYCLE, self._rng)
        return [(cycle, standing((x, y), self._rng.uniform(0, 2 * np.pi), self._count))]

    def cyclist(self, x: float, y: float, time_s: float) -> Cast:
        """Return a cycle and its rider: anywhere on a square, along a lane in a street."""
        rng, plan = self._rng, self._plan
        class_id = BICYCLE if plan.square or rng.random() < 0.5 else MOTORCYCLE
        if plan.square:
            headings, speeds = wander(rng, rng.uniform(0, 2 * np.pi), rng.uniform(2, 4.5), self._count, 0.4)
        else:
            lane = plan.lane_at(y)
            if lane is None:
                return []
            speed = lane.speed * rng.uniform(0.8, 1.1) if class_id == MOTORCYCLE else rng.uniform(3, 6.5)
            headings, speeds = np.full(self._count, lane.heading), np.full(self._count, speed)
        path = through((x, y), time_s, headings, speeds).within(*plan.between_walls(margin=1.2))
        rider = Person(rng, "pedal" if class_id == BICYCLE else "motor", cold=self._cold)
        return [(Cycle(class_id, rng), path), (rider, path)]

    def _flow(self, lane: TrafficLane) -> Float64Array:
        """Return the speed in m/s of all vehicles in `lane` at each step: with one speed none catches up."""
        time = np.arange(self._count) * STEP_S
        speeds = np.full(len(time), lane.speed)
        if self._rng.random() < 0.25:
            start, length = self._rng.uniform(0, time[-1]), self._rng.uniform(2, 6)
            speeds *= np.clip((np.abs(time - start - length / 2) - length / 2) / 3, 0, 1)
        return speeds


class Traffic:
    """Draws the actors of one scene, one after the other; an actor that would touch an earlier one is drawn again."""

    def __init__(
        self,
        rng: np.random.Generator,
        plan: Plan,
        camera: Camera,
        canvas_size: tuple[int, int],
        seconds: float,
        items: list[Item],
        *,
        cold: bool,
    ) -> None:
        self.actors: list[Actor] = []
        self._room = Room(plan, items)
        self._on_wheels = OnWheels(rng, plan, seconds, cold=cold)
        self._on_foot = OnFoot(rng, plan, seconds, items, cold=cold)
        self._rng, self._plan, self._seconds = rng, plan, seconds
        self._camera, self._canvas_size = camera, canvas_size

    def fill(self, present: int, passing: int) -> None:
        """Add about `present` actors, some of which stay in place, and about `passing` ones that come and go."""
        self._add(present, staying=True)
        self._add(passing, staying=False)

    def _add(self, count: int, *, staying: bool) -> None:
        """Add about `count` actors, vehicles first; only with `staying` some are parked, stand or sit."""
        square, wheels, foot = self._plan.square, self._on_wheels, self._on_foot
        share = self._rng.uniform(0.05, 0.2) if square else self._rng.uniform(0.2, 0.85)
        riding: dict[DrawActor, float] = {wheels.cyclist: 0.5} if square else {wheels.driver: 0.6, wheels.cyclist: 0.2}
        walking: dict[DrawActor, float] = {foot.walker: 0.55, foot.group: 0.25}
        if staying:
            riding[wheels.parked_cycle if square else wheels.parked] = 0.5 if square else 0.2
            walking |= {foot.bystander: 0.13, foot.talk: 0.07}
        end = len(self.actors) + count
        for _ in range(round(count * share)):
            self._attempt(self._choose(riding))
        for _ in range(2 * count):
            if len(self.actors) < end:
                self._attempt(self._choose(walking))

    def _choose(self, kinds: dict[DrawActor, float]) -> DrawActor:
        """Return one of `kinds`, each as likely as its weight."""
        weights = np.array(list(kinds.values()))
        return list(kinds)[self._rng.choice(len(kinds), p=weights / weights.sum())]

    def _attempt(self, draw: DrawActor) -> None:
        """Add a cast of `draw` at a random place in sight and time, if one of a few attempts finds room."""
        for _ in range(_ATTEMPTS):
            place = self._place_in_sight()
            if place is None:
                continue
            cast = draw(*place, float(self._rng.uniform(0, self._seconds)))
            # Members of one cast, such as a rider and the cycle, may touch.
            if cast and all(self._room.is_free(figure, path) for figure, path in cast):
                for figure, path in cast:
                    self.actors.append(Actor(len(self.actors) + 1, figure, path))
                    self._room.take(figure, path)
                return

    def _place_in_sight(self) -> tuple[float, float] | None:
        """Return x and y in m of a random pixel's place; None where it is not on open ground or too far away."""
        width, height = self._canvas_size
        place = self._camera.ground_point(self._rng.uniform(0, width), height * self._rng.uniform(0, 1.1))
        if place is None or not self._plan.is_open(place[1], margin=0.4):
            return None
        forward = self._camera.axes[2]
        depth = (np.array([*place, 0.0]) - np.array(self._camera.position)) @ forward
        return place if 1.7 * self._camera.focal / depth > _SMALLEST_PERSON_PX else None
