"""A small torch network, and its archive."""

from pathlib import Path

import pytest
import torch
from torch import nn

from .networks import SmallNetwork, save_exported


@pytest.fixture(scope="session")
def small_network() -> nn.Module:
    """A network whose running statistics are those of real inputs."""
    torch.manual_seed(0)
    network = SmallNetwork()
    network(torch.randn(32, 3, 16, 8))
    return network.eval()


@pytest.fixture(scope="session")
def small_archive(small_network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `small_network` in a file."""
    return save_exported(small_network, tmp_path_factory.mktemp("exported") / "small.pt2")
