"""The graph that backends compute, and the suppression inside it."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from streamdet.boxes import nms
from streamdet.errors import InputError
from streamdet.inference.graph import SuppressedRows, onnx_graph
from streamdet.inference.openvino import openvino_core
from streamdet.inference.session import KEY, ModelCard, SuppressionCard
from streamdet.models.weights import LoadedModel, load_model
from streamdet.types import Float32Array


@pytest.fixture
def model(tiny_weights: Path) -> LoadedModel:
    """A model of which a class has a name in letters that are none of ASCII."""
    loaded = load_model(tiny_weights)
    loaded.module.spec = loaded.spec.renamed(("cat", "犬"))
    return loaded


def shapes(graph: onnx.ModelProto) -> list[list[str | int]]:
    """Return the dimensions of the input and of the output; those that are free have a name."""
    values = (*graph.graph.input, *graph.graph.output)
    return [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in values]


def test_a_graph_is_valid_and_carries_its_card(model: LoadedModel) -> None:
    card = ModelCard(model.class_names, model.stride, (64, 96), "fp32", SuppressionCard(0.1, 0.7, 30))
    graph = onnx.load_from_string(onnx_graph(model, card))
    onnx.checker.check_model(graph)
    (entry,) = graph.metadata_props
    assert entry.key == KEY
    assert ModelCard.from_json(entry.value, "graph") == card


def test_batch_norm_is_folded(model: LoadedModel) -> None:
    graph = onnx.load_from_string(onnx_graph(model, ModelCard(model.class_names, model.stride)))
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}


def test_no_product_of_matrices_follows_the_convolutions(model: LoadedModel) -> None:
    """OpenVINO rounds to bf16, if it is asked for, up to the last of them: boxes of 640 px would be 2 px off."""
    graph = onnx.load_from_string(onnx_graph(model, ModelCard(model.class_names, model.stride)))
    assert {"MatMul", "Gemm"}.isdisjoint(node.op_type for node in graph.graph.node)


def test_sizes_are_fixed_or_free(model: LoadedModel) -> None:
    fixed = onnx.load_from_string(onnx_graph(model, ModelCard(model.class_names, model.stride, (64, 96))))
    free = onnx.load_from_string(onnx_graph(model, ModelCard(model.class_names, model.stride)))
    assert shapes(fixed) == [[1, 64, 96, 3], [1, 8 * 12 + 4 * 6 + 2 * 3, 6]]
    assert shapes(free)[0] == ["batch", "height", "width", 3]
    assert shapes(free)[1][:2] == ["batch", "rows"]


@pytest.mark.parametrize("text", ["", "[]", '{"class_names": ["a"]}', '{"class_names": ["a"], "stride": "wide"}'])
def test_a_card_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"a\.onnx: expected the description that streamdet export wrote, found: \w+"):
        ModelCard.from_json(text, "a.onnx")


Nms = Callable[[Float32Array], Float32Array]
CARD = SuppressionCard(conf=0.3, iou=0.5, max_det=20)


class Given(nn.Module):
    """A network whose rows are what it is given."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows * 1.0


def expected(rows: Float32Array) -> Float32Array:
    """Return what the detector's own NMS keeps of rows (A, 6)."""
    rows = rows[rows[:, 4] >= CARD.conf]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept = rows[nms(rows[:, :4], rows[:, 5], CARD.iou)][: CARD.max_det]
    return np.concatenate([kept, np.zeros((CARD.max_det - len(kept), 6), np.float32)])


def scene(seed: int, batch: int, count: int, spread: float) -> Float32Array:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, spread, (batch, count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(1, 40, (batch, count, 2))], 2)
    # Distinct scores: the order of equal ones is not defined.
    scores = random.permuted(np.tile(np.linspace(0.05, 0.95, count), (batch, 1)), axis=1)
    class_ids = random.integers(0, 3, (batch, count))
    return np.concatenate([boxes, scores[..., None], class_ids[..., None]], 2).astype(np.float32)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("nms") / "nms.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            SuppressedRows(Given(), CARD),
            (torch.from_numpy(scene(0, 2, 9, 40)),),
            path,
            dynamo=False,
            input_names=["rows"],
            dynamic_axes={"rows": {0: "batch", 1: "rows"}},
        )
    return Path(path).read_bytes()


@pytest.fixture(scope="module")
def onnx_nms(graph: bytes) -> Nms:
    session = onnxruntime.InferenceSession(graph)
    return lambda rows: np.asarray(session.run(None, {"rows": rows})[0])


@pytest.fixture(scope="module")
def openvino_nms(graph: bytes) -> Nms:
    core = openvino_core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # where the CPU has bf16, it is the default
    compiled = core.compile_model(core.read_model(io.BytesIO(graph)), "CPU", exact)
    return lambda rows: np.asarray(compiled(rows)[0])


scenes = given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 3),
    count=st.integers(1, 120),
    spread=st.sampled_from([5.0, 60.0, 400.0]),
)


@settings(max_examples=60)
@scenes
def test_onnx_runtime_keeps_what_the_greedy_loop_keeps(
    onnx_nms: Nms, seed: int, batch: int, count: int, spread: float
) -> None:
    rows = scene(seed, batch, count, spread)
    np.testing.assert_array_equal(onnx_nms(rows), [expected(image) for image in rows])


@settings(max_examples=30)
@scenes
def test_openvino_keeps_what_the_greedy_loop_keeps(
    openvino_nms: Nms, seed: int, batch: int, count: int, spread: float
) -> None:
    rows = scene(seed, batch, count, spread)
    np.testing.assert_array_equal(openvino_nms(rows), [expected(image) for image in rows])


def test_a_chain_keeps_every_other_box(onnx_nms: Nms) -> None:
    # Each box overlaps only its neighbours: removing the second must bring the third back.
    rows = np.array([[[3.0 * i, 0, 3 * i + 10, 10, 0.9 - 0.01 * i, 0] for i in range(20)]], np.float32)
    kept = onnx_nms(rows)[0]
    np.testing.assert_array_equal(kept[:10], rows[0, ::2])
    assert not kept[10:].any()
