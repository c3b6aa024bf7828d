"""The activation behind the convolutions: stated by a table, or by the modules in a checkpoint, and computed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import erf
from torch import Tensor, nn

from streamdet.inference.load import load_session
from streamdet.models.activation import activation_module
from streamdet.models.blocks import Conv
from streamdet.models.table import ModelSpec, resolve
from streamdet.models.weights import LoadedModel, Network, load_model, save_safetensors

X = np.linspace(-8, 8, 65, dtype=np.float64)
Array = npt.NDArray[np.float64]
RuleNetwork = Callable[[ModelSpec], Network]
# Each as a table may state it, its name, and its values at X by its definition.
STATED: list[tuple[str, str, Array]] = [
    ("nn.SiLU()", "SiLU", X / (1 + np.exp(-X))),
    ("torch.nn.ReLU(inplace=True)", "ReLU", X.clip(0)),
    ("nn.ReLU6()", "ReLU6", X.clip(0, 6)),
    ("nn.LeakyReLU(0.1)", "LeakyReLU(0.1)", np.where(X < 0, 0.1 * X, X)),
    ("nn.LeakyReLU(negative_slope=0.01, inplace=True)", "LeakyReLU", np.where(X < 0, 0.01 * X, X)),
    ("Hardswish", "Hardswish", X * (X + 3).clip(0, 6) / 6),
    ("nn.Mish()", "Mish", X * np.tanh(np.log1p(np.exp(X)))),
    ("nn.GELU()", "GELU", X * (1 + erf(X / np.sqrt(2))) / 2),
    (
        "nn.GELU(approximate='tanh')",
        "GELU('tanh')",
        X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3))) / 2,
    ),
]
names = pytest.mark.parametrize(("stated", "name", "expected"), STATED, ids=[name for _, name, _ in STATED])


@names
def test_a_table_states_the_activation(tiny_table: dict[str, Any], stated: str, name: str, expected: Array) -> None:
    for key in ("activation", "act"):
        assert resolve(tiny_table | {key: stated}, "t").activation == name
    found = activation_module(name)(torch.from_numpy(X.astype(np.float32)))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@names
def test_a_convolution_of_the_network_computes_it(
    tiny_table: dict[str, Any], stated: str, name: str, expected: Array
) -> None:
    """By hand: the weights let the red pixel through and the batch norm is the identity but for its constant."""
    network = Network(resolve(tiny_table | {"activation": stated}, "t")).eval()
    assert len({id(each.act) for each in network.modules() if isinstance(each, Conv)}) == 1
    first = network.model[0]
    assert isinstance(first, Conv)
    with torch.no_grad():
        first.conv.weight.zero_()
        first.conv.weight[:, 0, 1, 1] = 1
        red = torch.zeros(1, 3, 2, 2 * len(X))
        red[0, 0, 0, ::2] = torch.from_numpy(X)
        found = first(red)
    # The variance is 1, to which the batch norm adds 0.001; the activation is smooth enough to compare all the same.
    np.testing.assert_allclose(found[0, 0, 0].numpy(), expected, atol=6e-3)


def outputs(network: Network) -> Tensor:
    with torch.inference_mode():
        found = network(torch.from_numpy(np.random.default_rng(0).random((1, 3, 64, 64), np.float32)))
    assert isinstance(found, Tensor)
    return found


@names
def test_it_is_kept_in_a_file(
    tmp_path: Path, tiny_table: dict[str, Any], rule_network: RuleNetwork, stated: str, name: str, expected: Array
) -> None:
    network = rule_network(resolve(tiny_table | {"activation": stated}, "t"))
    save_safetensors(LoadedModel(network), tmp_path / "a.safetensors")
    again = load_model(tmp_path / "a.safetensors")
    assert again.spec.activation == name
    torch.testing.assert_close(outputs(again.module), outputs(network))


@pytest.mark.parametrize("module", [nn.ReLU(), nn.LeakyReLU(0.1), nn.Hardswish(), nn.GELU(), nn.GELU("tanh")], ids=str)
def test_a_checkpoint_has_its_own(
    tmp_path: Path, tiny_table: dict[str, Any], tiny: ModelSpec, rule_network: RuleNetwork, module: nn.Module
) -> None:
    """Its modules say which, also where its table does not."""
    network = rule_network(tiny)
    with_silu = outputs(network)
    for each in network.modules():
        if isinstance(each, Conv):
            each.act = module
    network.yaml, network.names = tiny_table, ["cat", "dog"]  # type: ignore[assignment]
    torch.save({"model": network}, tmp_path / "own.pt")
    found = outputs(load_model(tmp_path / "own.pt").module)
    torch.testing.assert_close(found, outputs(network))
    assert (found - with_silu).abs().max() > 0.1


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_other_runtimes_compute_it(
    tmp_path: Path, tiny_table: dict[str, Any], rule_network: RuleNetwork, backend: str
) -> None:
    network = rule_network(resolve(tiny_table | {"activation": "nn.LeakyReLU(0.1)"}, "t"))
    save_safetensors(LoadedModel(network), tmp_path / "a.safetensors")
    image = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3)).astype(np.uint8)
    found, expected = (
        load_session(tmp_path / "a.safetensors", device="cpu", backend=name)(image) for name in (backend, "torch")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
