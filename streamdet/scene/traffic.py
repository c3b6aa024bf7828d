"""Fills a street: draws who comes where in sight, until nobody touches another."""

from __future__ import annotations

import numpy as np

from streamdet.scene.actor import Actor, Draw
from streamdet.scene.camera import Camera
from streamdet.scene.furniture import Item
from streamdet.scene.on_foot import OnFoot
from streamdet.scene.on_wheels import OnWheels
from streamdet.scene.plan import Plan
from streamdet.scene.room import Room

# Persons and vehicles about at a time, from and below.
CROWDS = {"few": (3, 7), "some": (8, 17), "many": (20, 38)}
_ATTEMPTS = 12
_SMALLEST_PERSON_PX = 14.0


class Traffic:
    """Draws the actors of one scene, one after the other; what would touch an earlier one is drawn again."""

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
        """Add about `present` actors, some of whom stay where they are, and `passing` ones who come and go."""
        self._add(present, staying=True)
        self._add(passing, staying=False)

    def _add(self, count: int, *, staying: bool) -> None:
        """Add vehicles first, and people around them."""
        square, wheels, foot = self._plan.square, self._on_wheels, self._on_foot
        share = self._rng.uniform(0.05, 0.2) if square else self._rng.uniform(0.2, 0.85)
        riding: dict[Draw, float] = {wheels.cyclist: 0.5} if square else {wheels.driver: 0.6, wheels.cyclist: 0.2}
        walking: dict[Draw, float] = {foot.walker: 0.55, foot.group: 0.25}
        if staying:
            riding[wheels.parked_cycle if square else wheels.parked] = 0.5 if square else 0.2
            walking |= {foot.bystander: 0.13, foot.talk: 0.07}
        end = len(self.actors) + count
        for _ in range(round(count * share)):
            self._attempt(self._one_of(riding))
        for _ in range(2 * count):
            if len(self.actors) < end:
                self._attempt(self._one_of(walking))

    def _one_of(self, kinds: dict[Draw, float]) -> Draw:
        weights = np.array(list(kinds.values()))
        return list(kinds)[self._rng.choice(len(kinds), p=weights / weights.sum())]

    def _attempt(self, draw: Draw) -> None:
        """Draw until nothing touches: `draw` gets a place in sight, x and y in m, and the time in s."""
        for _ in range(_ATTEMPTS):
            spot = self._spot()
            if spot is None:
                continue
            cast = draw(*spot, float(self._rng.uniform(0, self._seconds)))
            # Those who come together, a rider and the cycle, may touch.
            if cast and all(self._room.is_free(figure, path) for figure, path in cast):
                for figure, path in cast:
                    self.actors.append(Actor(len(self.actors) + 1, figure, path))
                    self._room.take(figure, path)
                return

    def _spot(self) -> tuple[float, float] | None:
        """Return a place of the ground in sight where a person is not too small, as even over the picture as can be."""
        width, height = self._canvas_size
        place = self._camera.ground_point(self._rng.uniform(0, width), height * self._rng.uniform(0, 1.1))
        if place is None or not self._plan.is_open(place[1], margin=0.4):
            return None
        forward = self._camera.axes[2]
        depth = (np.array([*place, 0.0]) - np.array(self._camera.position)) @ forward
        return place if 1.7 * self._camera.focal / depth > _SMALLEST_PERSON_PX else None
