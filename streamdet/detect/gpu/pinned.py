"""Images in host memory that a device copies from by itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from streamdet.detect.gpu.runtime import Runtime
from streamdet.types import UInt8Array


def pinned_copy(image: UInt8Array, runtime: Runtime) -> UInt8Array:
    """Return a copy of `image` uint8 (H, W, 3) in memory that the device of `runtime` copies from."""
    array: UInt8Array = runtime.pinned(image.shape, torch.uint8).numpy()
    array[:] = image
    return array


def pinned_tensor(image: UInt8Array, runtime: Runtime) -> Tensor:
    """Return `image` uint8 (H, W, 3) as a tensor that the device copies from: as it lies if that can be, or a copy."""
    owner = _owner(image)
    if owner is not None and runtime.is_pinned(owner):
        return owner
    return torch.from_numpy(pinned_copy(image, runtime))


def _owner(image: UInt8Array) -> Tensor | None:
    """Return the tensor, if there is one, whose memory `image` is all of."""
    base: object = image
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, Tensor) or base.shape != image.shape or base.data_ptr() != image.ctypes.data:
        return None
    return base if image.flags.c_contiguous else None
