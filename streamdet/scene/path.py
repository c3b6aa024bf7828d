"""Motion as a function of time: places along a path, so that any frame can be asked for first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamdet.scene.moment import Moment
from streamdet.types import Float64Array

STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Path:
    """Places (N, 2) m, headings (N,) rad and metres covered (N,) at every `STEP_S` from the start of the scene."""

    places: Float64Array
    headings: Float64Array
    covered: Float64Array

    def at(self, time_s: float) -> Moment:
        """Return place and heading at `time_s`, between two steps in proportion."""
        step = min(max(time_s / STEP_S, 0.0), len(self.covered) - 1.001)
        before = int(step)
        share = step - before
        x, y = self.places[before] * (1 - share) + self.places[before + 1] * share
        heading = self.headings[before] * (1 - share) + self.headings[before + 1] * share
        covered = self.covered[before] * (1 - share) + self.covered[before + 1] * share
        return Moment(np.array([x, y, 0.0]), float(heading), float(covered), time_s)

    def within(self, low: float, high: float) -> Path:
        """Return the path of someone who turns back at the walls y = `low` and y = `high`, as light does at mirrors."""
        y, back = self.places[:, 1], np.zeros(len(self.places), bool)
        if np.isfinite(low) and np.isfinite(high):
            # Mirrors face to face: y repeats after there and back.
            over = (y - low) % (2 * (high - low))
            back = over > high - low
            y = low + np.where(back, 2 * (high - low) - over, over)
        elif np.isfinite(low) or np.isfinite(high):
            back = y < low if np.isfinite(low) else y > high
            y = np.where(back, 2 * (low if np.isfinite(low) else high) - y, y)
        places = np.column_stack([self.places[:, 0], y])
        return Path(places, np.where(back, -self.headings, self.headings), self.covered)

    def shifted(self, along: float, aside: float) -> Path:
        """Return the path of someone who keeps `along` m ahead and `aside` m to the left."""
        cos, sin = np.cos(self.headings), np.sin(self.headings)
        offset = np.column_stack([along * cos - aside * sin, along * sin + aside * cos])
        return Path(self.places + offset, self.headings, self.covered)


def steps(seconds: float) -> int:
    """Return how many steps a path needs to last `seconds`."""
    return int(np.ceil(seconds / STEP_S)) + 2


def through(place: tuple[float, float], time_s: float, headings: Float64Array, speeds: Float64Array) -> Path:
    """Return the path with `headings` rad and `speeds` m/s (N,) at each step that is at `place` at `time_s`."""
    velocity = speeds[:, None] * np.column_stack([np.cos(headings), np.sin(headings)])
    places = np.cumsum(velocity, axis=0) * STEP_S
    covered = np.cumsum(speeds) * STEP_S
    places += np.array(place) - places[min(round(time_s / STEP_S), len(places) - 1)]
    return Path(places, headings, covered)


def standing(place: tuple[float, float], heading: float, count: int) -> Path:
    """Return a path of `count` steps that goes nowhere."""
    return through(place, 0.0, np.full(count, heading), np.zeros(count))


def wander(
    rng: np.random.Generator, heading: float, speed: float, count: int, turning: float
) -> tuple[Float64Array, Float64Array]:
    """Return headings and speeds of a walker: `heading` with slow turns of about `turning` rad, perhaps a pause."""
    time = np.arange(count) * STEP_S
    slow, slower = rng.uniform(0.04, 0.12, 2)
    phases = rng.uniform(0, 2 * np.pi, 2)
    turns = np.sin(2 * np.pi * slow * time + phases[0]) + np.sin(2 * np.pi * slower * time + phases[1])
    speeds = np.full(count, speed) * (1 + 0.05 * np.sin(2 * np.pi * slower * time))
    if rng.random() < 0.12:
        # Stops within a second, waits, and starts again.
        start, length = rng.uniform(0, time[-1]), rng.uniform(1.5, 5)
        speeds *= np.clip(np.abs(time - start - length / 2) - length / 2, 0, 1)
    return heading + turning * turns / 2, speeds
