"""ONNX detectors of other programs, wrapped into the graph of a session.

A wrapped graph maps images uint8 (B, H, W, 3) RGB to rows f32 (B, A, 6), as in `streamdet.inference.graph`. What comes
before and after the network is part of the graph, so that the runtime compiles all of it.
"""

from __future__ import annotations

import ast
import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamdet.errors import InputError, MissingExtraError
from streamdet.inference.graph import INPUT, OUTPUTS
from streamdet.inference.layouts import STRIDES_PX, Layout, Shape, recognised
from streamdet.inference.session import KEY, LAYOUTS, ModelCard

_log = logging.getLogger(__name__)

_NEWEST_OPSET = 20  # that torch's exporter by tracing writes
_COCO_NAMES = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
    "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
    "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
    "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)
_COCO = tuple(_COCO_NAMES.split(","))
_COCO_UNUSED = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # of COCO's category numbers 0 to 90


def wrapped(model: Path) -> bytes:
    """Return the ONNX file `model` of another program as a graph with a card.

    Raises InputError for a layout that is not known, and MissingExtraError without the package onnx.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "onnx") from None
    try:
        network = onnx.load(model)
    except Exception:  # the errors of protobuf and of missing external data have no class in common
        raise InputError(f"{model}: expected an ONNX model, found something else or a part of one") from None
    stored = {each.name for each in network.graph.initializer}
    inputs = {name: shape for name, shape in _shapes(network.graph.input).items() if name not in stored}
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    layout = recognised(inputs, _shapes(network.graph.output), metadata, str(model))
    _log.info("taking %s for a model of %s", model.name, layout.name)
    return _joined(network, layout, _card(layout, next(iter(inputs.values())), metadata))


def _shapes(values: Any) -> dict[str, Shape]:
    """Return the shape of each value by its name, with None for a free size."""
    return {each.name: tuple(d.dim_value or None for d in each.type.tensor_type.shape.dim) for each in values}


def _card(layout: Layout, image: Shape, metadata: Mapping[str, str]) -> ModelCard:
    height, width = image[2:]
    input_hw = None if height is None or width is None else (height, width)
    stride = int(metadata.get("stride", max(STRIDES_PX)))
    return ModelCard(
        _class_names(layout, metadata),
        stride,
        input_hw,
        task=layout.task,
        layout=LAYOUTS.get(layout.task, "rows"),
        iou=layout.iou,
        kpt_shape=layout.kpt_shape,
    )


def _class_names(layout: Layout, metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names in the metadata, as ultralytics writes them, else those of COCO if their number fits."""
    try:
        names = dict(ast.literal_eval(metadata["names"]))
        return tuple(str(names[index]) for index in range(len(names)))
    except (KeyError, ValueError, SyntaxError, TypeError):
        pass
    if layout.classes in (None, len(_COCO)):
        return _COCO
    if layout.classes == len(_COCO) + len(_COCO_UNUSED):
        known = iter(_COCO)
        return tuple(str(index) if index in _COCO_UNUSED else next(known) for index in range(layout.classes))
    return tuple(str(index) for index in range(layout.classes or 0))


def _joined(network: Any, layout: Layout, card: ModelCard) -> bytes:
    """Return `network` between the parts of its `layout` as one graph, with its card."""
    from onnx import compose, helper

    opset = next(each.version for each in network.opset_import if each.domain in ("", "ai.onnx"))
    stored = {each.name for each in network.graph.initializer}
    fed = [value.name for value in network.graph.input if value.name not in stored]
    given = network.graph.output
    image = torch.zeros((1, *(card.input_hw or (2 * card.stride, 3 * card.stride)), 3), dtype=torch.uint8)
    before = _traced(layout.before, {INPUT: image}, fed, opset)
    outputs = OUTPUTS.get(card.layout, ["rows"])
    after = _traced(layout.after, {value.name: _example(value) for value in given}, outputs, opset)
    network.ir_version = before.ir_version = after.ir_version = max(before.ir_version, network.ir_version)
    # Prefixes keep the names of the three apart; the graph's own input and output are those of all sessions.
    before = compose.add_prefix(before, "before/", rename_inputs=False)
    network, after = compose.add_prefix(network, "network/"), compose.add_prefix(after, "after/", rename_outputs=False)
    joined = compose.merge_models(before, network, [(f"before/{name}", f"network/{name}") for name in fed])
    joined = compose.merge_models(joined, after, [(f"network/{value.name}", f"after/{value.name}") for value in given])
    helper.set_model_props(joined, {KEY: card.to_json()})
    content: bytes = joined.SerializeToString()
    return content


def _example(value: Any) -> Tensor:
    """Return an array as an output of a network may be: a free size is 1."""
    from onnx import helper

    kind = value.type.tensor_type
    shape = [size.dim_value or 1 for size in kind.shape.dim]
    return torch.from_numpy(np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind.elem_type)))


def _traced(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], opset: int) -> Any:
    """Return `module` as an ONNX model of that `opset`, with all sizes free that may be."""
    import onnx

    free = {name: dict(enumerate(f"{name}_{axis}" for axis in range(each.ndim))) for name, each in inputs.items()}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "part.onnx")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            path,
            dynamo=False,
            opset_version=min(opset, _NEWEST_OPSET),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free,
        )
        return onnx.version_converter.convert_version(onnx.load(path), opset)
