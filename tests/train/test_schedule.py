"""The optimizer, its rates, the sizes of images, and the average of the weights."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from streamdet.train.config import TrainConfig
from streamdet.train.schedule import Schedule, WeightAverage, batch_size_px, build_optimizer

from .small_training import small_network

KEYS = ("model.0.bn.bias", "model.0.bn.running_mean")  # one that is learned, one that is counted


def test_the_average_by_hand() -> None:
    network = small_network()
    average = WeightAverage(network, decay=0.9)
    bias, statistics = (network.state_dict()[key] for key in KEYS)
    expected = 0.0
    for update, value in enumerate((1.0, -2.0, 5.0), 1):
        bias.fill_(value)
        statistics.fill_(value)
        average.update(network)
        decay = 0.9 * (1 - math.exp(-update / 2000))
        expected = decay * expected + (1 - decay) * value
        state = average.network.state_dict()
        for key in KEYS:
            torch.testing.assert_close(state[key], torch.full_like(state[key], expected))


def test_late_updates_forget_with_the_full_decay() -> None:
    network = small_network()
    average = WeightAverage(network, decay=0.75)
    average.updates = 100_000
    before = average.network.state_dict()["model.0.conv.weight"].clone()
    network.state_dict()["model.0.conv.weight"].add_(1)
    average.update(network)
    torch.testing.assert_close(average.network.state_dict()["model.0.conv.weight"], before + 0.25)


def test_counters_are_taken_as_they_are() -> None:
    network = small_network()
    average = WeightAverage(network, decay=0.9)
    network(torch.rand(1, 3, 32, 32))
    average.update(network)
    assert average.network.state_dict()["model.0.bn.num_batches_tracked"] == 1


def test_the_average_is_apart_and_not_trained() -> None:
    network = small_network()
    average = WeightAverage(network, decay=0.9)
    assert not average.network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert network.training
    assert any(parameter.requires_grad for parameter in network.parameters())
    network.state_dict()["model.0.conv.weight"].fill_(7)
    assert average.network.state_dict()["model.0.conv.weight"].max() < 7


VARIED = TrainConfig(imgsz=320, multi_scale=0.5)


def sizes(settings: TrainConfig, epoch: int = 0) -> list[int]:
    return [batch_size_px(settings, epoch, batch, 32) for batch in range(300)]


def test_sizes_are_multiples_of_the_stride_all_over_the_range() -> None:
    # 160 to 480, rounded
    assert set(sizes(VARIED)) == set(range(160, 481, 32))
    assert abs(np.mean(sizes(VARIED)) - 320) < 16


def test_seed_epoch_and_batch_decide() -> None:
    assert sizes(VARIED) == sizes(VARIED)
    assert sizes(VARIED) != sizes(VARIED, epoch=1)
    assert sizes(VARIED) != sizes(VARIED.model_copy(update={"seed": 1}))


def test_without_it_the_size_is_that_of_the_settings() -> None:
    assert set(sizes(TrainConfig(imgsz=320))) == {320}


def test_a_size_of_a_list_stays_for_ten_batches() -> None:
    listed = TrainConfig.model_validate({"imgsz": [640, 320, 480]})
    drawn = sizes(listed)
    assert set(drawn) == {320, 480, 640}
    tens = [drawn[start : start + 10] for start in range(0, 300, 10)]
    assert all(len(set(ten)) == 1 for ten in tens)
    assert len({ten[0] for ten in tens[:8]}) > 1
    assert sizes(listed) == drawn != sizes(listed, epoch=1)


def test_there_is_a_cell_at_least() -> None:
    assert min(sizes(TrainConfig(imgsz=32, multi_scale=0.9))) == 32


SETTINGS = TrainConfig(epochs=100, batch=16, nominal_batch=64, lr0=0.02, lrf=0.1, warmup_epochs=3)
BATCHES = 50  # the warm-up lasts 150


def layers() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False))


def rates(settings: TrainConfig, epoch: int, batch: int) -> dict[str, tuple[float, float]]:
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


def warmup_batches(settings: TrainConfig, batches: int) -> int:
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
