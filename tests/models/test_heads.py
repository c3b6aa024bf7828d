"""The detection heads, with and without anchors."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from streamdet.errors import InputError
from streamdet.files import resource
from streamdet.inference.graph import RowsNetwork, onnx_graph
from streamdet.inference.session import ModelCard
from streamdet.models.heads import AnchorHead
from streamdet.models.table import ModelSpec, load_spec, resolve
from streamdet.models.weights import LoadedModel, Network, load_model, save_safetensors

RuleNetwork = Callable[[ModelSpec], Network]
Table = dict[str, Any]


@pytest.fixture
def anchor_table() -> Table:
    """The shipped YOLOv5 table at an eighth of its width, with two classes."""
    parsed: Table = yaml.safe_load(resource("configs/models/yolov5.yaml").read_text())
    del parsed["names"]
    return parsed | {"nc": 2, "scales": {"n": [0.33, 0.125]}}


def infer(module: nn.Module, *inputs: Any) -> Tensor:
    with torch.inference_mode():
        out = module(*inputs)
    assert isinstance(out, Tensor)
    return out


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the size of the value, values below 1 counted as 1 (px, or probability)."""
    return float(((found - expected).abs() / expected.abs().clamp(min=1)).max())


def cell_by_cell(level: Tensor) -> Tensor:
    """Reorder rows (B, 3 * cells, 85) that run through all cells of one anchor after another."""
    return level.view(len(level), 3, -1, level.shape[2]).transpose(1, 2).flatten(1, 2)


@pytest.mark.parametrize("frame", ["car-detection_200", "one-by-one-person-detection_300"])
def test_head_of_the_real_model_agrees_with_the_oracle(data: Path, frame: str) -> None:
    image = torch.from_numpy(np.load(data / "oracles" / "yolov8n" / f"{frame}_input_u8.npz")["im"]).float() / 255
    stored = torch.from_numpy(np.load(data / "oracles" / f"yolov5n_{frame}_head_f16.npz")["head"]).float()
    levels = torch.split(stored, [3 * 48 * 80, 3 * 24 * 40, 3 * 12 * 20], 1)
    boxes, objectness, classes = torch.split(torch.cat([cell_by_cell(level) for level in levels], 1), [4, 1, 80], 2)
    found = infer(load_model(data / "weights" / "yolov5n.pt").module, image)
    assert found[:, 4:].max() > 0.8
    # The oracle is stored as float16, which alone is 2^-11 = 4.9e-4 of a value.
    assert relative_error(found[:, :4], boxes.transpose(1, 2)) < 5.1e-4
    assert relative_error(found[:, 4:], (objectness * classes).transpose(1, 2)) < 5.1e-4


def test_a_box_is_decoded_from_its_anchor_and_the_corner_of_its_cell() -> None:
    head = AnchorHead(2, [[16, 8, 4, 4]], channels=[14], strides_px=[8]).eval()
    head.load_state_dict({"m.0.weight": torch.eye(14)[:, :, None, None], "m.0.bias": torch.zeros(14)}, strict=False)
    sigmoids = torch.tensor([0.5, 0.75, 0.75, 0.25, 0.5, 0.9, 0.2])
    raw = torch.full((1, 14, 2, 3), -50.0)
    raw[0, :7, 1, 2] = sigmoids.logit()  # the first anchor of the last cell
    out = infer(head, [raw])
    assert out.shape == (1, 4 + 2, 2 * 3 * 2)
    # Centre: (2 + 2 * 0.5 - 0.5, 1 + 2 * 0.75 - 0.5) cells of 8 px; size: 16 * 1.5^2 by 8 * 0.5^2 px.
    assert out[0, :, -2].tolist() == pytest.approx([20, 16, 36, 2, 0.45, 0.1])
    # All else is empty; its boxes have their centre half a cell before the corner, and no size.
    assert out[0, 4:].sum() == pytest.approx(0.55)
    assert out[0, :4, 1].tolist() == pytest.approx([-4, -4, 0, 0], abs=1e-6)


def test_training_mode_returns_the_raw_maps(anchor_table: Table) -> None:
    maps = Network(resolve(anchor_table, "t")).train()(torch.zeros(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 21, 8, 12), (2, 21, 4, 6), (2, 21, 2, 3)]


@torch.no_grad()
def test_an_untrained_head_expects_eight_objects_of_each_anchor() -> None:
    head = AnchorHead(3, [[10, 10], [40, 40]], channels=[4, 4], strides_px=[8, 16])
    maps = head.train()([torch.zeros(1, 4, 640 // stride, 640 // stride) for stride in (8, 16)])
    for raw in maps:
        _, objectness, classes = torch.split(head.per_anchor(raw), [4, 1, 3], 4)
        assert float(objectness.exp().sum()) == pytest.approx(8, rel=1e-3)
        assert classes.sigmoid().mean() == pytest.approx(0.6 / (3 - 0.4))


def test_images_of_a_batch_do_not_see_each_other(anchor_table: Table, rule_network: RuleNetwork) -> None:
    network = rule_network(resolve(anchor_table, "t")).fuse()
    images = torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    together = infer(network, images)
    assert together.shape == (3, 4 + 2, 3 * (8 * 12 + 4 * 6 + 2 * 3))
    for index in range(3):
        torch.testing.assert_close(together[index : index + 1], infer(network, images[index : index + 1]))


def test_the_onnx_graph_gives_the_same_rows(anchor_table: Table, rule_network: RuleNetwork) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = LoadedModel(rule_network(resolve(anchor_table, "t")))
    graph = onnxruntime.InferenceSession(onnx_graph(model, ModelCard(model.class_names, model.stride)))
    images = np.random.default_rng(0).integers(0, 255, (2, 96, 64, 3), dtype=np.uint8)
    (found,) = graph.run(None, {"images": images})
    expected = infer(RowsNetwork(model), torch.from_numpy(images))
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)


def test_the_table_is_resolved_with_its_anchors(anchor_table: Table) -> None:
    last = resolve(anchor_table, "t").layers[-1]
    levels = ((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 119), (116, 90, 156, 198, 373, 326))
    assert (last.block, last.args) == ("AnchorDetect", (2, levels, (32, 64, 128), (8, 16, 32)))


def test_anchors_come_from_the_weights_when_there_are_any(
    tmp_path: Path, anchor_table: Table, rule_network: RuleNetwork
) -> None:
    network = rule_network(resolve(anchor_table, "t"))
    head = network.model[-1]
    assert isinstance(head, AnchorHead)
    head.anchors.copy_(torch.arange(1, 19).view(3, 3, 2))
    save_safetensors(LoadedModel(network), tmp_path / "t.safetensors")
    again = load_model(tmp_path / "t.safetensors")
    assert again.spec == network.spec
    found = again.module.model[-1]
    assert isinstance(found, AnchorHead)
    strides_px = torch.tensor([8, 16, 32])[:, None, None]
    assert torch.equal(found.anchors_px, torch.arange(1, 19).view(3, 3, 2) * strides_px)


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        (None, r"t, row 24 \(AnchorDetect\): expected anchors for 3 levels, found None"),
        ([[10, 10], [20, 20]], r"row 24 \(AnchorDetect\): expected anchors for 3 levels, found \(\(10.0, 10.0\), "),
        (3, "t: expected anchors as lists of widths and heights in pixels, found 3"),
        ([[10, 10], [20, 20], [30]], "t: expected anchors as lists of widths and heights in pixels, found "),
        ([[10, 10], [20, 20], [30, 30, 40, 40]], "t: expected anchors as lists of widths and heights in pixels"),
        ([[10, 10], [20, 20], [30, 0]], "t: expected anchors as lists of widths and heights in pixels"),
        ([[10, 10], [20, 20], [30, math.nan]], "t: expected anchors as lists of widths and heights in pixels"),
        ([[10, 10], [20, 20], ["a", "b"]], "t: expected anchors as lists of widths and heights in pixels"),
        ([[1] * 202] * 3, "t: expected anchors as lists of widths and heights in pixels"),
        ("anchors", "t: expected anchors as lists of widths and heights in pixels, found 'anchors'"),
    ],
)
def test_anchors_that_make_no_head(anchor_table: Table, anchors: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(anchor_table | {"anchors": anchors}, "t")


@pytest.mark.parametrize("stated", ["[[], [], []]", "[[1.0], [1.0], [1.0]]", "[[1, 1], [1, 1], [1, -1]]", "7", '"ab"'])
def test_damaged_anchors_in_a_stored_description_are_one_sentence(anchor_table: Table, stated: str) -> None:
    text = resolve(anchor_table | {"anchors": [[5, 5], [5, 5], [5, 5]]}, "t").to_json()
    spec = text.replace("[[5.0, 5.0], [5.0, 5.0], [5.0, 5.0]]", stated)
    assert spec != text
    with pytest.raises(
        InputError, match=r"^t, row 24(: | \()AnchorDetect(\(2, .* cannot be built: |\): exp)"
    ) as caught:
        Network(ModelSpec.from_json(spec))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("padding", [3, -1, "x", True])
def test_a_padding_that_does_not_keep_the_stride_is_refused(anchor_table: Table, padding: Any) -> None:
    anchor_table["backbone"][0] = [-1, 1, "Conv", [64, 6, 2, padding]]
    message = f"t, row 0 \\(Conv\\): expected a padding with which kernel 6 makes maps of 1/2, found {padding!r}"
    with pytest.raises(InputError, match=message):
        resolve(anchor_table, "t")


def test_the_shipped_table_is_that_of_the_real_checkpoints(data: Path) -> None:
    loaded = load_model(data / "weights" / "yolov5n.pt")
    table = load_spec("yolov5n")
    assert (loaded.spec.layers, loaded.class_names) == (table.layers, table.class_names)
    face = load_model(data / "weights" / "yolov5n-face.pt")
    assert (face.class_names, face.spec.layers[:-1], face.stride) == (("face",), table.layers[:-1], 32)
