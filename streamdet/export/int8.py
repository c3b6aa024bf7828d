"""Rounds a model to 8-bit integers so that it fits given images, by NNCF (extra ``int8``)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from streamdet.errors import MissingExtraError
from streamdet.types import UInt8Array


def quantized(model: Any, images: Sequence[UInt8Array]) -> Any:
    """Return the OpenVINO `model` with 8-bit convolutions whose ranges are those seen in `images` (1, H, W, 3).

    The first convolution, which sees the pixels, stays as it is, and so does what comes behind the last ones: boxes are
    decoded there to the pixel. Neither takes much time. Raises MissingExtraError.
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
    """Return the names of the first convolution and of everything that no convolution comes after."""
    operations = model.get_ordered_ops()
    convolutions = [operation for operation in operations if operation.get_type_name() == "Convolution"]
    ahead = {operation.get_friendly_name() for operation in convolutions}
    # Ordered from the input to the output: what feeds something that is ahead is ahead itself.
    for operation in reversed(operations):
        if operation.get_friendly_name() in ahead:
            ahead |= {source.get_node().get_friendly_name() for source in operation.input_values()}
    behind = [operation.get_friendly_name() for operation in operations if operation.get_friendly_name() not in ahead]
    return [convolutions[0].get_friendly_name(), *behind]
