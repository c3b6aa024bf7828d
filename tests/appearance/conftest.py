"""Small networks in files, whose features can be worked out by hand."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from .networks import SmallNetwork, WriteOnnx, save_exported


@pytest.fixture
def write_onnx(tmp_path: Path) -> WriteOnnx:
    """Writes a network that averages each channel of its crops, or one with other nodes, shapes or types."""

    def write(
        nodes: list[onnx.NodeProto] | None = None,
        *,
        shapes: tuple[tuple[str | int, ...], ...] = (("b", 3, 8, 4),),
        element: int = TensorProto.FLOAT,
    ) -> Path:
        mean = helper.make_node("ReduceMean", ["crops0", "axes"], ["features"], keepdims=0)
        graph = helper.make_graph(
            nodes or [mean],
            "colours",
            [helper.make_tensor_value_info(f"crops{i}", element, shape) for i, shape in enumerate(shapes)],
            [helper.make_tensor_value_info("features", element, None)],
            [numpy_helper.from_array(np.array([2, 3]), "axes")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        path = tmp_path / "colours.onnx"
        onnx.save(model, path)
        return path

    return write


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
