"""What drives, rides and is parked in a street."""

from __future__ import annotations

import numpy as np

from streamdet.scene.actor import Cast
from streamdet.scene.cycle import BICYCLE, MOTORCYCLE, Cycle
from streamdet.scene.models import MODELS, WEIGHTS
from streamdet.scene.path import STEP_S, standing, steps, through, wander
from streamdet.scene.person import Person
from streamdet.scene.plan import Lane, Plan
from streamdet.scene.vehicle import Vehicle
from streamdet.types import Float64Array

_PARKED = tuple(model for model in MODELS if model.class_id != 4 and model.half_track < 1)


class OnWheels:
    """Draws vehicles and cycles for a scene of `seconds`; riders dress for `cold` weather.

    Every kind is drawn for a place, x and y in m, and a time in s; where it does not belong, nobody comes.
    """

    def __init__(self, rng: np.random.Generator, plan: Plan, seconds: float, *, cold: bool) -> None:
        self._rng, self._plan, self._count, self._cold = rng, plan, steps(seconds), cold
        self._flows = {lane: self._flow(lane) for lane in plan.lanes}

    def driver(self, x: float, y: float, time_s: float) -> Cast:
        """Return a vehicle that moves with its lane."""
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
        """Return a cycle and its rider: on a square anywhere, in a street along a lane."""
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

    def _flow(self, lane: Lane) -> Float64Array:
        """Return the speed in m/s of all in `lane` at each step, so that nobody ever catches up."""
        time = np.arange(self._count) * STEP_S
        speeds = np.full(len(time), lane.speed)
        if self._rng.random() < 0.25:
            start, length = self._rng.uniform(0, time[-1]), self._rng.uniform(2, 6)
            speeds *= np.clip((np.abs(time - start - length / 2) - length / 2) / 3, 0, 1)
        return speeds
