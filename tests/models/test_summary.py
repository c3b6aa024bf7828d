import csv
from pathlib import Path

import pytest
import torch
from torch import nn

from streamdet.errors import InputError
from streamdet.models.summary import describe, summarize
from streamdet.models.table import ModelSpec, load_spec
from streamdet.models.weights import Network


@pytest.mark.parametrize(
    ("name", "layers", "parameters", "gradients", "gflops"),
    [
        ("yolov8n", 225, 3_157_200, 3_157_184, 8.9),
        ("yolov8s", 225, 11_166_560, 11_166_544, 28.8),
        ("yolov8m", 295, 25_902_640, 25_902_624, 79.3),
        ("yolov8l", 365, 43_691_520, 43_691_504, 165.7),
        ("yolov8x", 365, 68_229_648, 68_229_632, 258.5),
        ("yolov5n", 214, 1_872_157, 1_872_157, 4.6),
        ("yolov5s", 214, 7_235_389, 7_235_389, 16.6),
        ("yolov5m", 291, 21_190_557, 21_190_557, 49.2),
        ("yolov5l", 368, 46_563_709, 46_563_709, 109.6),
        ("yolov5x", 445, 86_749_405, 86_749_405, 206.3),
    ],
)
def test_summary_is_the_published_one(name: str, layers: int, parameters: int, gradients: int, gflops: float) -> None:
    summary = describe(name).summary
    assert (summary.layers, summary.parameters, summary.gradients) == (layers, parameters, gradients)
    assert round(summary.gflops, 1) == gflops


def test_summary_of_a_table_of_the_users_own(tiny: ModelSpec) -> None:
    with torch.device("meta"):
        summary = summarize(Network(tiny))
    assert (summary.layers, summary.parameters, summary.gradients) == (225, 912_830, 912_814)
    assert round(summary.gflops, 1) == 2.8


@pytest.mark.parametrize(
    "name",
    [f"yolov8{scale}{task}" for task in ("", "-seg", "-pose", "-obb", "-cls") for scale in "nsmlx"]
    + ["yolov8n-p2", "yolov8n-p6"],
)
def test_summary_equals_the_oracle_to_its_last_digit_also_fused(data: Path, name: str) -> None:
    with (data / "oracles" / "model_info.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["yaml"] == f"{name}.yaml")
    with torch.device("meta"):
        network = Network(load_spec(name))
    assert str(summarize(network).gradients) == row["gradients"]
    for expected in (
        (row["layers"], row["params"], row["GFLOPs"]),
        (row["fused_layers"], row["fused_params"], row["fused_GFLOPs"]),
    ):
        summary = summarize(network)
        leaves = sum(not list(module.children()) for module in network.modules())
        assert (str(leaves), str(summary.parameters), f"{summary.gflops:.4f}") == expected
        network.fuse()


def test_fused_anchor_model_has_the_published_parameters() -> None:
    with torch.device("meta"):
        summary = summarize(Network(load_spec("yolov5n")).fuse())
    assert (summary.layers, summary.parameters) == (157, 1_867_405)


def test_summary_leaves_the_network_as_it_was(tiny: ModelSpec) -> None:
    network = Network(tiny).train()
    before = network.model[0].bn.running_mean.clone()  # type: ignore[union-attr, operator]
    assert summarize(network) == summarize(network)
    assert network.training
    assert torch.equal(network.model[0].bn.running_mean, before)  # type: ignore[union-attr, arg-type]
    assert not any(module._forward_hooks for module in network.modules())


def test_rows_account_for_every_parameter() -> None:
    description = describe("yolov8n")
    assert sum(row.parameters for row in description.rows) == description.summary.parameters
    assert [(row.index, row.sources, row.repeats, row.block, row.args) for row in description.rows[:3]] == [
        (0, (-1,), 1, "Conv", (3, 16, 3, 2)),
        (1, (0,), 1, "Conv", (16, 32, 3, 2)),
        (2, (1,), 1, "C2f", (32, 32, True)),
    ]
    assert description.rows[-1].args == (80, (64, 128, 256), (8, 16, 32))
    assert (description.task, description.strides_px, len(description.class_names)) == ("detect", (8, 16, 32), 80)


def test_a_checkpoint_is_described_like_its_table(data: Path) -> None:
    loaded, table = describe(data / "weights" / "yolov8n.pt"), describe("yolov8n")
    assert (loaded.summary, loaded.rows, loaded.class_names) == (table.summary, table.rows, table.class_names)


def test_the_activation_is_shared() -> None:
    with torch.device("meta"):
        network = Network(load_spec("yolov8n"))
    assert sum(isinstance(module, nn.SiLU) for module in network.modules()) == 1


def test_a_layer_whose_operations_nobody_counts_is_refused() -> None:
    network = Network(load_spec("yolov8n"))
    network.model[0].add_module("attention", nn.Conv1d(1, 1, 3))
    with pytest.raises(InputError, match="operations can be counted, found Conv1d: add it to _OPERATIONS"):
        summarize(network)
