"""The latency contract, simulated: a camera of 25 Hz, and a device that takes its time for each image."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from streamdet.scheduler.latency import STEPS, Detect, EveryFrame, LatencyContract, Load, Policy, Skip
from streamdet.types import Frame

RATE_HZ = 25
BLANK = np.zeros((4, 4, 3), np.uint8)
SIZE = 640
Cost = Callable[[float, int], float]  # from the time in s and the size in px to what a detection takes in s


class Trial:
    """What a policy made of some time of a camera."""

    def __init__(self, policy: Policy, cost: Cost, seconds: float) -> None:
        self.policy = policy
        self.ages_s, self.ended_s = list[float](), list[float]()
        self.decisions = list[tuple[float, Detect | Skip]]()
        self.steps = list[tuple[float, int]]()
        self._simulate(cost, seconds)

    def _simulate(self, cost: Cost, seconds: float) -> None:
        """Serve the newest frame whenever the device is free, as a lane of a live run does."""
        free_s, frames = (
            0.0,
            [Frame(k, k, Fraction(1, RATE_HZ), BLANK, "cam", k / RATE_HZ) for k in range(int(seconds * RATE_HZ))],
        )
        k = 0
        while k < len(frames):
            now_s = max(free_s, frames[k].received_at)
            k = max(k, min(int(now_s * RATE_HZ + 1e-9), len(frames) - 1))  # older ones were dropped for it
            frame = frames[k]
            now_s = max(now_s, frame.received_at)
            decision = self.policy.admit(frame, now_s, Load(1, 0))
            self.decisions.append((now_s, decision))
            if isinstance(decision, Detect):
                free_s = now_s + cost(now_s, decision.size or SIZE)
                self.ages_s.append(free_s - frame.received_at)
                self.ended_s.append(free_s)
                self.policy.done(frame, free_s)
                if isinstance(self.policy, LatencyContract):
                    self.steps.append((free_s, self.policy.step))
            k += 1

    def percentile(self, q: float, after_s: float = 0.0) -> float:
        ages = [age for age, end_s in zip(self.ages_s, self.ended_s, strict=True) if end_s >= after_s]
        return float(np.percentile(ages, q))


def constant(seconds: float) -> Cost:
    """A device whose time grows with the number of pixels, `seconds` for an image of the run's size."""
    return lambda _, size: seconds * (size / SIZE) ** 2


def test_a_fast_device_sees_every_frame() -> None:
    trial = Trial(LatencyContract(0.2, SIZE), constant(0.02), 20)
    assert {decision for _, decision in trial.decisions} == {Detect()}
    assert trial.policy.step == 0  # type: ignore[attr-defined]


def test_a_third_of_the_rate_keeps_the_contract_for_ten_minutes() -> None:
    limit_s = 0.15
    trial, free = (Trial(policy, constant(0.125), 600) for policy in (LatencyContract(limit_s, SIZE), EveryFrame()))
    assert free.percentile(99) > limit_s  # what it would be without
    assert trial.percentile(99) < limit_s
    assert trial.percentile(100, after_s=1.0) < limit_s
    # Not by refusing work: at least a fifth of the frames are detected in.
    assert len(trial.ages_s) > 600 * RATE_HZ / 5


def test_it_recovers_when_the_load_goes() -> None:
    def cost(now_s: float, size: int) -> float:
        return constant(0.3 if 10 <= now_s < 20 else 0.02)(now_s, size)

    trial = Trial(LatencyContract(0.2, SIZE), cost, 60)
    assert max(step for _, step in trial.steps) == len(STEPS) - 1
    assert trial.policy.step == 0  # type: ignore[attr-defined]
    last = [decision for now_s, decision in trial.decisions if now_s > 50]
    assert set(last) == {Detect()}


def test_returns_that_fail_become_rare() -> None:
    # Half the size fits with ease, three quarters do not: going back is tried at longer and longer distances.
    trial = Trial(LatencyContract(0.2, SIZE), constant(0.3), 300)
    changes = [end_s for (end_s, step), (_, before) in zip(trial.steps[1:], trial.steps, strict=False) if step < before]
    assert 3 <= len(changes) < 20
    assert min(np.diff(changes[-3:])) > 3 * (changes[1] - changes[0])
    assert trial.percentile(99) < 0.2


def test_a_contract_that_cannot_be_kept_still_shows_something() -> None:
    trial = Trial(LatencyContract(0.05, SIZE), constant(2.0), 60)
    assert max(np.diff(trial.ended_s)) < 2.5
    assert trial.policy.step == len(STEPS) - 1  # type: ignore[attr-defined]


def test_the_state_names_the_step_and_the_age_that_chose_it() -> None:
    contract = LatencyContract(0.3, SIZE)
    assert str(contract.state) == "age up to 300 ms: every frame"

    def result(index: int, age_s: float, now_s: float) -> None:
        """Detect in a frame that has arrived `age_s` before its result."""
        frame = Frame(index, index, Fraction(1, RATE_HZ), BLANK, "camera", now_s - age_s)
        contract.admit(frame, now_s - age_s / 2, Load(1, 0))
        contract.done(frame, now_s)

    result(0, 0.1, 10.0)
    assert str(contract.state) == "age up to 300 ms: every frame"
    result(1, 0.29, 10.5)
    assert (contract.state.step, contract.state.limit_s) == (1, 0.3)
    assert str(contract.state) == "age 290 ms of 300 ms: every 2nd frame"
    result(3, 0.08, 14.0)
    assert str(contract.state) == "age 80 ms of 300 ms: every frame"


@pytest.mark.parametrize("size", [64, 320, 640, 1280])
def test_sizes_fit_the_model(size: int) -> None:
    sizes = LatencyContract(0.1, size).sizes
    assert all(each % 32 == 0 and 32 <= each < size for each in sizes)
