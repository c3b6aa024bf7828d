"""Images that callers give, as the arrays that streamdet computes with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import InputError, shown

if TYPE_CHECKING:
    from streamdet.options import Order


_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA


def rgb_image(image: Any, order: Order = "rgb") -> npt.NDArray[np.uint8]:
    """Return `image`, an array, a tensor of torch or an image of Pillow, as contiguous uint8 (H, W, 3) RGB.

    - Shapes: (H, W) and (H, W, 1) are grey, (H, W, 4) is RGBA, whose opacity is left out. A tensor may also have its
      channels in front, as is usual in torch.
    - Values: integers are 0 to 255, floats 0 to 1, and a bool is black or white.
    - `order`: that of the channels of arrays and tensors; "bgr" is that of OpenCV. It is never guessed.

    Raises InputError for everything else: channels of an array in front, batches, and 16 bits, whose largest value is
    not known.
    """
    _require(order)
    if is_pillow := callable(getattr(image, "convert", None)):
        image = image if image.mode[0] in "IF" else image.convert("RGB")  # I and F have 16 or 32 bits
    try:
        pixels = np.asarray(_on_host(image))
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"expected an image as an array (H, W, 3), found {type(image).__name__}") from None
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in _CHANNELS or not pixels.size:
        raise InputError(f"expected an image (H, W, 3), (H, W, 4) or (H, W), {_found_shape(image, pixels)}")
    colours = _in_8_bits(pixels[:, :, :3])
    if colours.shape[2] == 3 and not is_pillow:
        colours = in_order(colours, order)
    return np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))


def in_order(image: npt.NDArray[np.uint8], order: Order) -> npt.NDArray[np.uint8]:
    """Return `image`, uint8 (H, W, 3) RGB, or for "bgr" a copy with red and blue exchanged; raises InputError."""
    _require(order)
    if order == "rgb":
        return image
    from cv2 import COLOR_BGR2RGB, cvtColor  # only where it is needed; ten times as fast as NumPy

    return np.asarray(cvtColor(image, COLOR_BGR2RGB), np.uint8)


def _require(order: Order) -> None:
    if order not in ("rgb", "bgr"):
        raise InputError(f"order must be rgb or bgr, got {shown(order)}")


def _on_host(image: Any) -> Any:
    """Return `image`, where it is a tensor of torch on the CPU and with its channels last."""
    if not callable(getattr(image, "detach", None)):
        return image
    image = image.detach().cpu()
    is_channels_first = image.ndim == 3 and image.shape[0] in _CHANNELS and image.shape[2] not in _CHANNELS
    return image.permute(1, 2, 0) if is_channels_first else image


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
