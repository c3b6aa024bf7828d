from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from streamdet.errors import InputError
from streamdet.models.heads import DFL
from streamdet.models.table import LayerSpec, ModelSpec, load_spec, resolve
from streamdet.models.weights import Network, load_model

FRAMES = ["MOT17-04_000001", "bottle-detection_300", "car-detection_200", "one-by-one-person-detection_300"]
RuleNetwork = Callable[[ModelSpec], Network]


def infer(network: Network, image: Tensor) -> Tensor:
    with torch.inference_mode():
        out = network(image)
    assert isinstance(out, Tensor)
    return out


def oracle_input() -> Tensor:
    """The first image of the oracle's two: only its outputs are stored for most models."""
    return torch.from_numpy(np.random.default_rng(0).random((2, 3, 256, 320), dtype=np.float32)[:1])


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the size of the value, values below 1 counted as 1 (px, or probability)."""
    return float(((found - expected).abs() / expected.abs().clamp(min=1)).max())


TASKS = ["yolov8n-seg", "yolov8n-pose", "yolov8n-obb", "yolov8n-cls"]


@pytest.mark.parametrize("frame", FRAMES)
def test_head_of_the_real_model_agrees_with_the_oracle(data: Path, frame: str) -> None:
    folder = data / "oracles" / "yolov8n"
    image = torch.from_numpy(np.load(folder / f"{frame}_input_u8.npz")["im"]).float() / 255
    expected = torch.from_numpy(np.load(folder / f"{frame}_head_f16.npz")["head"]).float()
    found = infer(load_model(data / "weights" / "yolov8n.pt").module, image)
    # The oracle is stored as float16, which alone is 2^-11 = 4.9e-4 of a value.
    assert relative_error(found, expected) < 5.1e-4


@pytest.mark.parametrize("name", ["yolov8n", "yolov8s", "yolov8m", "yolov8n-p2", "yolov8n-p6", *TASKS])
def test_head_with_weights_by_rule_agrees_with_the_oracle(data: Path, rule_network: RuleNetwork, name: str) -> None:
    with np.load(data / "oracles" / "random_weights" / f"{name}.npz") as stored:
        expected = [torch.from_numpy(stored[key][:1]) for key in ("out0", "proto") if key in stored]
    with torch.inference_mode():
        found = rule_network(load_spec(name))(oracle_input())
    for ours, theirs in zip(found if isinstance(found, tuple) else [found], expected, strict=True):
        assert relative_error(ours, theirs) < 1e-5


@pytest.mark.parametrize("name", ["yolov8n", "yolov8s", "yolov8m", "yolov8n-p2", "yolov8n-p6", *TASKS])
def test_state_keys_and_shapes_are_those_of_the_published_checkpoints(
    stated_shapes: dict[str, dict[str, tuple[int, ...]]], name: str
) -> None:
    with torch.device("meta"):
        state = Network(load_spec(name)).state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == stated_shapes[name]


def test_fusing_changes_no_output(tiny: ModelSpec, rule_network: RuleNetwork) -> None:
    network = rule_network(tiny)
    before = infer(network, oracle_input())
    after = infer(network.fuse(), oracle_input())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert relative_error(after, before) < 1e-4
    assert torch.equal(infer(network.fuse(), oracle_input()), after)


def test_fusing_the_real_model_changes_no_output(data: Path) -> None:
    image = torch.from_numpy(np.load(data / "oracles" / "yolov8n" / f"{FRAMES[0]}_input_u8.npz")["im"]).float() / 255
    network = load_model(data / "weights" / "yolov8n.pt").module
    before = infer(network, image)
    assert relative_error(infer(network.fuse(), image), before) < 1e-4


def test_a_block_of_any_type_folds_what_it_can(tiny: ModelSpec, rule_network: RuleNetwork) -> None:
    class Doubled(torch.nn.Module):
        factor = 1.0

        def fuse(self) -> None:
            self.factor = 2.0

    network, inside = rule_network(tiny), Doubled()
    network.model[1] = torch.nn.Sequential(torch.nn.Identity(), inside)
    assert not network.fuse().training
    assert inside.factor == 2.0


def test_images_of_a_batch_do_not_see_each_other(tiny: ModelSpec, rule_network: RuleNetwork) -> None:
    network = rule_network(tiny).fuse()
    images = torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    together = infer(network, images)
    assert together.shape == (3, 4 + 2, 8 * 12 + 4 * 6 + 2 * 3)
    for index in range(3):
        torch.testing.assert_close(together[index : index + 1], infer(network, images[index : index + 1]))


def test_the_output_is_float32_in_half_precision_too(tiny: ModelSpec, rule_network: RuleNetwork) -> None:
    network = rule_network(tiny).fuse()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    full = infer(network, image)
    half = infer(network.bfloat16(), image.bfloat16())
    assert half.dtype == torch.float32
    # Centres are near 64 px, where bfloat16 itself has steps of 0.25 px: decoding must not add that error.
    assert float((half[0, 0] - half[0, 0].bfloat16().float()).abs().max()) > 0.1
    assert float((half[:, :4] - full[:, :4]).abs().max()) < 4


def test_training_mode_returns_the_raw_maps(tiny: ModelSpec) -> None:
    maps = Network(tiny).train()(torch.zeros(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 66, 8, 12), (2, 66, 4, 6), (2, 66, 2, 3)]


def test_dfl_returns_the_expected_bin() -> None:
    logits = torch.full((1, 4, 16, 1), -50.0)
    for side, bins in enumerate([(0, 0), (15, 15), (3, 4), (7, 7)]):
        logits[0, side, list(bins)] = 50.0
    assert DFL()(logits.view(1, 1, 64)).flatten().tolist() == pytest.approx([0, 15, 3.5, 7])


def test_boxes_reach_from_the_cell_centre_by_the_four_distances() -> None:
    spec = ModelSpec("head", "detect", ("a",), (LayerSpec((-1,), 1, "Detect", (1, (3,), (8,))),))
    network = Network(spec).eval()
    logits = torch.full((4, 16), -50.0)
    for side, bin_ in enumerate((1, 2, 3, 5)):  # left, top, right, bottom in cells
        logits[side, bin_] = 50.0
    # Zero everywhere but in the bias of the last convolution of the box branch: every cell predicts the same.
    state = {key: torch.zeros_like(value) for key, value in network.state_dict().items() if ".dfl." not in key}
    network.load_state_dict(state | {"model.0.cv2.0.2.bias": logits.flatten()}, strict=False)
    out = infer(network, torch.zeros(1, 3, 2, 3))
    # Cell (row 1, column 2) has its centre at (20, 12) px: x from 20 - 8 to 20 + 24, y from 12 - 16 to 12 + 40.
    assert out[0, :, 5].tolist() == pytest.approx([28, 24, 32, 56, 0.5])


def test_arguments_that_a_block_refuses_are_named_with_their_row(table: dict[str, Any]) -> None:
    table["backbone"][1] = [-1, 1, "Conv", [128, 3, 2, 1, 1]]
    with pytest.raises(InputError, match=r"yolov8, row 1: Conv\(16, 32, 3, 2, 1, 1\) cannot be built: "):
        Network(resolve(table, "yolov8"))
