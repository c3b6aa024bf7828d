"""What an ONNX graph says about itself, and what it takes."""

from pathlib import Path

import onnx
import pytest

from streamdet.errors import InputError
from streamdet.inference.card import KEY, ModelCard, SuppressionCard
from streamdet.inference.onnx_graph import onnx_graph
from streamdet.models.weights import LoadedModel, load_model


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
