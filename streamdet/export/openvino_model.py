"""Writes OpenVINO's own format, ``model.xml`` and ``model.bin`` in a folder, in fp32, fp16 or int8."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from streamdet.export.int8 import quantized
from streamdet.inference.card import KEY, ModelCard
from streamdet.inference.openvino import import_openvino, openvino_core
from streamdet.types import UInt8Array


def write_openvino(graph: bytes, card: ModelCard, folder: Path, images: Sequence[UInt8Array] | None) -> None:
    """Write the ONNX `graph` to `folder` as `card` says, in int8 when there are `images` to calibrate on.

    Raises MissingExtraError, and OSError when the folder cannot be written.
    """
    openvino = import_openvino()
    model = openvino_core().read_model(io.BytesIO(graph))
    if images is not None:
        model = quantized(model, images)
    model.set_rt_info(card.to_json(), ["framework", KEY])
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        openvino.save_model(model, Path(partial, "model.xml"), compress_to_fp16=False)
        for name in ("model.bin", "model.xml"):
            Path(partial, name).replace(folder / name)
