"""Networks for the tests of the model package: small ones, and ones with weights made by rule."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from streamdet.files import resource
from streamdet.models.table import ModelSpec, resolve
from streamdet.models.weights import Network


@pytest.fixture
def table() -> dict[str, Any]:
    """The shipped YOLOv8 table, parsed anew for each test so that it may be changed."""
    parsed: dict[str, Any] = yaml.safe_load(resource("configs/models/yolov8.yaml").read_text())
    return parsed


@pytest.fixture
def tiny_table(table: dict[str, Any]) -> dict[str, Any]:
    """The table of YOLOv8 at an eighth of its width, with two classes."""
    del table["names"]
    return table | {"nc": 2, "scales": {"n": [0.33, 0.125, 1024]}}


@pytest.fixture
def tiny(tiny_table: dict[str, Any]) -> ModelSpec:
    """The resolved `tiny_table`."""
    return resolve(tiny_table, "tiny")


def _rule_weight(key: str, shape: tuple[int, ...]) -> Tensor:
    """Return the tensor that the oracle's rule makes for a state key (see the README of the reference data)."""
    n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith(".dfl.conv.weight"):
        return torch.arange(16, dtype=torch.float32).view(shape)
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith("running_var"):
        return torch.from_numpy(1 + np.float32(0.1) * np.abs(n))
    if ".bn." in key and key.endswith("weight"):
        return torch.from_numpy(1 + np.float32(0.1) * n)
    if key.endswith(("running_mean", "bias")):
        return torch.from_numpy(np.float32(0.1) * n)
    return torch.from_numpy(n * np.float32(np.sqrt(1 / np.prod(shape[1:]))))


@pytest.fixture
def rule_network() -> Callable[[ModelSpec], Network]:
    """Builds the network of a spec in eval mode with the weights of the oracle's rule."""

    def make(spec: ModelSpec) -> Network:
        with torch.device("meta"):
            network = Network(spec)
        state = {key: _rule_weight(key, tuple(slot.shape)) for key, slot in network.state_dict().items()}
        network.load_state_dict(state, assign=True)
        return network.eval()

    return make


@pytest.fixture(scope="session")
def stated_shapes(data: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """Every state key and its shape, of each model in the oracle of weights made by rule."""
    index = json.loads((data / "oracles" / "random_weights" / "index.json").read_text())
    return {name: {key: tuple(shape) for key, shape in entry["state"].items()} for name, entry in index.items()}
