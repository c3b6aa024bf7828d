import math

import pytest
import torch
from torch import nn

from streamdet.train.schedule import Schedule, build_optimizer
from streamdet.train.settings import TrainSettings

SETTINGS = TrainSettings(epochs=100, batch=16, nominal_batch=64, lr0=0.02, lrf=0.1, warmup_epochs=3)
BATCHES = 50  # the warm-up lasts 150


def layers() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False))


def rates(settings: TrainSettings, epoch: int, batch: int) -> dict[str, tuple[float, float]]:
    """Learning rate and momentum by kind of parameter."""
    optimizer = build_optimizer(layers(), settings)
    Schedule(settings, BATCHES).set(optimizer, epoch, batch)
    return {
        group["kind"]: (group["lr"], group["momentum"] if "momentum" in group else group["betas"][0])
        for group in optimizer.param_groups
    }


def test_parameters_are_grouped_and_only_weights_decay() -> None:
    network = layers()
    network[2].weight.requires_grad_(False)  # type: ignore[index]
    optimizer = build_optimizer(network, SETTINGS)
    shapes = {group["kind"]: [tuple(p.shape) for p in group["params"]] for group in optimizer.param_groups}
    assert shapes == {"weight": [(4, 3, 1, 1)], "norm": [(4,)], "bias": [(4,), (4,)]}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [5e-4, 0, 0]


@pytest.mark.parametrize(("batch", "share"), [(16, 1), (64, 1), (128, 2), (48, 0.75), (1, 1)])
def test_decay_is_relative_to_the_images_of_a_step(batch: int, share: float) -> None:
    # 48: one batch is nearer to the nominal 64 than two.
    optimizer = build_optimizer(layers(), SETTINGS.model_copy(update={"batch": batch}))
    assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(5e-4 * share)


def test_both_optimizers_are_what_they_say() -> None:
    sgd = build_optimizer(layers(), SETTINGS)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.param_groups[0]["nesterov"], sgd.param_groups[0]["momentum"]) == (True, 0.937)
    assert isinstance(build_optimizer(layers(), SETTINGS.model_copy(update={"optimizer": "adamw"})), torch.optim.AdamW)


def test_the_first_batch_moves_biases_only() -> None:
    assert rates(SETTINGS, 0, 0) == {"weight": (0, 0.8), "norm": (0, 0.8), "bias": (0.1, 0.8)}
    cold = rates(SETTINGS.model_copy(update={"optimizer": "adamw"}), 0, 0)
    assert cold == {"weight": (0, 0.8), "norm": (0, 0.8), "bias": (0, 0.8)}


def test_halfway_through_the_warm_up() -> None:
    # Batch 25 of epoch 1 is the 75th of 150; the rate of epoch 1 is 0.02 (0.1 + 0.9 * 99 / 100).
    rate, momentum = 0.02 * 0.991, (0.8 + 0.937) / 2
    found = rates(SETTINGS, 1, 25)
    assert found["weight"] == pytest.approx((rate / 2, momentum))
    assert found["norm"] == found["weight"]
    assert found["bias"] == pytest.approx((0.1 + (rate - 0.1) / 2, momentum))


@pytest.mark.parametrize(("epoch", "left"), [(3, 0.97), (50, 0.5), (99, 0.01)])
def test_after_the_warm_up_rates_fall_along_a_line(epoch: int, left: float) -> None:
    rate = 0.02 * (0.1 + 0.9 * left)
    for kind in ("weight", "norm", "bias"):
        assert rates(SETTINGS, epoch, 0)[kind] == pytest.approx((rate, 0.937))
        assert rates(SETTINGS, epoch, BATCHES - 1)[kind] == pytest.approx((rate, 0.937))


@pytest.mark.parametrize("epoch", [3, 25, 50, 99])
def test_or_along_half_a_cosine(epoch: int) -> None:
    schedule = Schedule(SETTINGS.model_copy(update={"cosine": True}), BATCHES)
    assert schedule.rate(epoch) == pytest.approx(0.02 * (0.1 + 0.9 * (1 + math.cos(math.pi * epoch / 100)) / 2))
    assert schedule.rate(50) == pytest.approx(0.02 * 0.55)


def warmup_batches(settings: TrainSettings, batches: int) -> int:
    """Return the first batch at which the momentum is the full one."""
    optimizer, schedule = build_optimizer(layers(), settings), Schedule(settings, batches)
    for passed in range(batches * settings.epochs):
        schedule.set(optimizer, passed // batches, passed % batches)
        if optimizer.param_groups[0]["momentum"] == settings.momentum:
            return passed
    raise AssertionError("the warm-up does not end")


@pytest.mark.parametrize(
    ("epochs", "batches", "warmup", "expected"),
    [
        (100, 50, 3, 150),
        (100, 10, 3, 100),  # at least 100
        (12, 10, 3, 40),  # but a third of all at most
        (100, 50, 0.5, 100),
        (100, 50, 0, 0),
    ],
)
def test_the_length_of_the_warm_up(epochs: int, batches: int, warmup: float, expected: int) -> None:
    settings = SETTINGS.model_copy(update={"epochs": epochs, "warmup_epochs": warmup})
    assert warmup_batches(settings, batches) == expected


def test_steps_sum_more_batches_as_the_warm_up_goes_on() -> None:
    schedule = Schedule(SETTINGS, BATCHES)
    # 1 + 3 w, rounded, at w = 0, 1/5, 1/3, 1/2 (to even), 2/3 and 1
    found = [schedule.accumulate(*divmod(passed, BATCHES)) for passed in (0, 30, 50, 75, 100, 150, 4000)]
    assert found == [1, 2, 2, 2, 3, 4, 4]
    assert Schedule(SETTINGS.model_copy(update={"batch": 200}), BATCHES).accumulate(50, 0) == 1


@pytest.mark.parametrize(("world", "batches", "share"), [(1, 4, 1), (2, 2, 1), (4, 1, 1), (8, 1, 2)])
def test_several_processes_share_a_step(world: int, batches: int, share: float) -> None:
    assert Schedule(SETTINGS, BATCHES, world).accumulate(50, 0) == batches
    optimizer = build_optimizer(layers(), SETTINGS, world)
    assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(5e-4 * share)
