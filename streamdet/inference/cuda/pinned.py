"""Images in host memory that a device copies from by itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from streamdet.inference.cuda.runtime import Runtime
from streamdet.types import UInt8Array


def pinned(image: UInt8Array, runtime: Runtime) -> UInt8Array:
    """Return `image` uint8 (H, W, 3) where the device of `runtime` copies it from: as it lies if it can, or a copy."""
    array: UInt8Array = pinned_tensor(image, runtime).numpy()
    return array


def pinned_tensor(image: UInt8Array, runtime: Runtime) -> Tensor:
    """Return the same as a tensor."""
    owner = _owner(image)
    if owner is not None and runtime.is_pinned(owner):
        return owner
    tensor = runtime.pinned(image.shape, torch.uint8)
    tensor.numpy()[:] = image
    return tensor


def _owner(image: UInt8Array) -> Tensor | None:
    """Return the tensor, if there is one, whose memory `image` is all of."""
    base: object = image
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, Tensor) or base.shape != image.shape or base.data_ptr() != image.ctypes.data:
        return None
    return base if image.flags.c_contiguous else None
