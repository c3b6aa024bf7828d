"""Writes a network as an ONNX graph, its card in the metadata."""

from __future__ import annotations

import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from streamdet.errors import MissingExtraError, StreamdetError
from streamdet.inference.card import KEY, ModelCard
from streamdet.inference.graph import RowsNetwork
from streamdet.inference.suppression import SuppressedRows
from streamdet.models.weights import LoadedModel

INPUT, OUTPUT = "images", "rows"
OPSET = 17


def onnx_graph(model: LoadedModel, card: ModelCard) -> bytes:
    """Return the ONNX file of `model` as `card` describes it; its batch norms are folded in place.

    Input ``images`` uint8 (B, H, W, 3) RGB, output ``rows`` f32 (B, A, 6); B, H and W are free unless the card fixes H
    and W, which fixes B to 1. Raises StreamdetError for a network that cannot be written.
    """
    height, width = card.input_hw or (2 * card.stride, 3 * card.stride)
    example = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    free = {INPUT: {0: "batch", 1: "height", 2: "width"}, OUTPUT: {0: "batch", 1: "rows"}}
    # The exporter by tracing takes a quarter of the time of its successor and needs no further package.
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "graph.onnx")
        try:
            torch.onnx.export(
                _network(model, card),
                (example,),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes=free if card.input_hw is None else None,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            if find_spec("onnx") is None:
                raise MissingExtraError("onnx", "onnx") from None
            reason = str(error).strip().splitlines()[0]
            raise StreamdetError(f"{model.spec.name} cannot be written as ONNX: {reason}") from error
        return path.read_bytes() + _metadata(KEY, card.to_json())


def _network(model: LoadedModel, card: ModelCard) -> nn.Module:
    rows = RowsNetwork(model, torch.float16 if card.precision == "fp16" else torch.float32)
    return rows if card.suppression is None else SuppressedRows(rows, card.suppression)


def _metadata(key: str, value: str) -> bytes:
    """Return a metadata entry that can be appended to an ONNX file.

    Fields of a Protocol Buffers message may follow in any order, so that one more is added at the end: field 14 of
    ModelProto is metadata_props, with the key as field 1 and the value as field 2 (onnx.proto).
    """
    return _field(14, _field(1, key.encode()) + _field(2, value.encode()))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Return `value` in groups of seven bits, the lowest first; all but the last have the eighth bit set."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])
