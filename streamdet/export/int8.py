"""Rounds a model to 8-bit integers so that it fits given images, by NNCF (extra ``int8``)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from streamdet.errors import MissingExtraError
from streamdet.types import UInt8Array

# Cells of the finest maps that are rounded, in px of the image.
_FINEST_INT8_PX = 8


def quantized(model: Any, images: Sequence[UInt8Array]) -> Any:
    """Return the OpenVINO `model` with 8-bit convolutions whose ranges are those seen in `images` (1, H, W, 3).

    The first convolutions, down to an eighth of the resolution, stay as they are: on YOLOv8n they alone lose what int8
    loses. So does what comes behind the last ones, where boxes are decoded to the pixel. Raises MissingExtraError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import nncf
        except ImportError:
            raise MissingExtraError("nncf", "int8") from None
        nncf.set_log_level(logging.ERROR)
        return nncf.quantize(
            model,
            nncf.Dataset(list(images)),
            subset_size=len(images),
            # The activation SiLU is not symmetric around 0.
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=_exact(model), validate=False),
        )


def _exact(model: Any) -> list[str]:
    """Return the names of the first convolutions and of everything that no convolution comes after."""
    operations = model.get_ordered_ops()
    convolutions = [operation for operation in operations if operation.get_type_name() == "Convolution"]
    ahead = {operation.get_friendly_name() for operation in convolutions}
    # Ordered from the input to the output: what feeds something that is ahead is ahead itself.
    for operation in reversed(operations):
        if operation.get_friendly_name() in ahead:
            ahead |= {source.get_node().get_friendly_name() for source in operation.input_values()}
    behind = [operation.get_friendly_name() for operation in operations if operation.get_friendly_name() not in ahead]
    return [*_first(operations), *behind]


def _first(operations: Sequence[Any]) -> list[str]:
    """Return the names of the convolutions that read maps finer than an eighth of the image."""
    names: list[str] = []
    stride_px: dict[str, int] = {}
    for operation in operations:
        sources = [value.get_node().get_friendly_name() for value in operation.input_values()]
        before = max((stride_px.get(source, 1) for source in sources), default=1)
        is_convolution = operation.get_type_name() == "Convolution"
        if is_convolution and before < _FINEST_INT8_PX:
            names.append(operation.get_friendly_name())
        # What is enlarged again stays behind a convolution of the coarse map, so that its stride need not be undone.
        step = operation.get_attributes()["strides"][0] if is_convolution else 1
        stride_px[operation.get_friendly_name()] = before * step
    return names
