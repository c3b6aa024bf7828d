"""Statistics of batch norms: weights that were folded get them back, and short trainings keep them near the weights."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from streamdet.data.dataset import LabelledImage
from streamdet.data.locate import label_path
from streamdet.models.heads import RawMaps
from streamdet.models.weights import Network, load_model
from streamdet.train.examples import sample_batches
from streamdet.train.norms import set_momentum, unfold_norms

from .small_training import SETTINGS, STILL, small_network


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def never() -> Iterator[Tensor]:
    pytest.fail("read images for norms that have statistics")
    yield


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def folded_network() -> Network:
    """Return the small network with norms that scale and shift, and have no statistics."""
    network = small_network().eval()
    for norm in norms(network):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
        assert norm.running_var is not None
        norm.running_var.fill_(0.999)
    return network


@torch.no_grad()
def test_statistics_are_those_of_the_images_and_the_output_stays_the_same() -> None:
    network = folded_network()
    expected = network(images())
    assert unfold_norms(network, [images()[:2], images()[2:]]) == len(norms(network)) > 3
    torch.testing.assert_close(network(images()), expected, rtol=1e-4, atol=1e-3)
    first: Any = network.model[0]
    features = first.conv(images())
    torch.testing.assert_close(first.bn.running_mean, features.mean((0, 2, 3)))
    torch.testing.assert_close(first.bn.running_var, features.var((0, 2, 3), correction=0))
    # A batch of just these images has these statistics: the norms are then the same in training.
    for norm in norms(network):
        norm.train()
    torch.testing.assert_close(network(images()), expected, rtol=1e-3, atol=1e-2)


@torch.no_grad()
def test_norms_with_statistics_are_left_alone() -> None:
    network = small_network().train()
    network(images())
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    assert unfold_norms(network, never()) == 0
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)
    assert network.training


@pytest.mark.parametrize(("batches", "momentum"), [(2, 0.3), (40, 0.25), (100, 0.1), (10_000, 0.03)])
def test_statistics_follow_the_weights_within_a_tenth_of_a_training(batches: int, momentum: float) -> None:
    network = small_network()
    set_momentum(network, batches)
    assert {norm.momentum for norm in norms(network)} == {momentum}


@pytest.mark.integration
@pytest.mark.parametrize("name", ["yolov8n.pt", "yolov8n-seg.pt"])
@torch.no_grad()
def test_real_weights_find_in_training_mode_what_they_find_in_eval_mode(data: Path, name: str) -> None:
    network = load_model(data / "weights" / name).module
    files = sorted((data / "coco128" / "images").rglob("*.jpg"))[:8]
    known = [LabelledImage(file, label_path(file), (True,) * 80) for file in files]
    settings = SETTINGS.model_copy(update={"imgsz": 160, **STILL})
    batches = list(sample_batches(known, settings))
    before = difference(network, batches[0])
    unfold_norms(network, batches)
    assert difference(network, batches[0]) < 0.02 < 0.3 < before


def difference(network: Network, batch: Tensor) -> float:
    """Return by how much the raw maps of the coarsest level differ in training mode, by their standard deviation."""
    maps = []
    for training in (False, True):
        network = copy.deepcopy(network).train(training)  # training changes the statistics
        network.head.training = True
        found = network(batch)
        maps.append((found.maps if isinstance(found, RawMaps) else found)[-1])
    return float((maps[1] - maps[0]).square().mean().sqrt() / maps[0].std())
