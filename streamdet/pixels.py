"""Images that callers give, as the arrays that streamdet computes with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import InputError

_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA


def rgb_image(image: Any) -> npt.NDArray[np.uint8]:
    """Return `image`, an array or an image of Pillow, as contiguous uint8 (H, W, 3) RGB.

    - Shapes: (H, W) and (H, W, 1) are grey, (H, W, 4) is RGBA, whose opacity is left out.
    - Values: integers are 0 to 255, floats 0 to 1, and a bool is black or white.

    Raises InputError for everything else: channels in front, batches, and 16 bits, whose largest value is not known.
    """
    if callable(getattr(image, "convert", None)) and image.mode[0] not in "IF":  # not of 16 or 32 bits
        image = image.convert("RGB")
    try:
        pixels = np.asarray(image)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"expected an image as an array (H, W, 3), found {type(image).__name__}") from None
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in _CHANNELS or not pixels.size:
        raise InputError(f"expected an image (H, W, 3), (H, W, 4) or (H, W), {_found_shape(image, pixels)}")
    colours = _in_8_bits(pixels[:, :, :3])
    return np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))


def _found_shape(image: Any, pixels: npt.NDArray[Any]) -> str:
    if not pixels.ndim:
        return f"found {type(image).__name__}"
    if pixels.ndim == 3 and pixels.shape[0] in _CHANNELS:
        return f"found the shape {pixels.shape}, channels first: transpose it by (1, 2, 0)"
    if pixels.ndim == 4:
        return f"found the shape {pixels.shape}: give the images of a batch one by one"
    return f"found the shape {pixels.shape}"


def _in_8_bits(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return `pixels` as uint8, see `rgb_image`; raises InputError."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind == "b":
        return pixels * np.uint8(255)
    if pixels.dtype.kind not in "iuf":
        raise InputError(f"expected an image of uint8, found {pixels.dtype}")
    largest = 1 if pixels.dtype.kind == "f" else 255
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= largest):
        raise InputError(f"expected values of 0 to {largest} in an image of {pixels.dtype}, found {low:g} to {high:g}")
    return np.rint(pixels * np.float32(255 / largest)).astype(np.uint8)
