import math

import torch

from streamdet.train.average import WeightAverage

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
