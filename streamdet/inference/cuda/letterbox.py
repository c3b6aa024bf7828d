"""Fits images into a model's input on the device, by `streamdet.letterbox` there."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from streamdet.letterbox import PADDING, Letterbox


def letterbox_into(canvas: Tensor, image: Tensor, letterbox: Letterbox) -> None:
    """Fit `image` uint8 (H, W, 3) into `canvas` uint8 (h, w, 3), all of which is written; both are on one device.

    Bilinear between pixel centres and rounded. Where the image shrinks by a whole number, which most cameras' do, the
    result is the host's; else a pixel differs by 1 at most.
    """
    height, width = letterbox.resized_hw
    ratio = image.shape[0] // height
    is_whole = tuple(image.shape[:2]) == (ratio * height, ratio * width)
    if (height, width) != letterbox.input_hw:
        canvas.fill_(PADDING)
    place = canvas[letterbox.pad_y : letterbox.pad_y + height, letterbox.pad_x : letterbox.pad_x + width]
    place.copy_(_shrunk(image, ratio) if is_whole else _resized(image, (height, width)))


def _shrunk(image: Tensor, ratio: int) -> Tensor:
    """Return one of `ratio` x `ratio` px: the middle one, or the mean of the middle four, halves rounded up.

    Reads only these pixels, where a resize would first make floats of all.
    """
    first = (ratio - 1) // 2
    if ratio % 2:
        return image[first::ratio, first::ratio]
    above, below = (image[y::ratio].short() for y in (first, first + 1))
    columns = above + below
    return (columns[:, first::ratio] + columns[:, first + 1 :: ratio] + 2) // 4


def _resized(image: Tensor, hw: tuple[int, int]) -> Tensor:
    pixels = image.permute(2, 0, 1)[None].float()
    resized = functional.interpolate(pixels, hw, mode="bilinear", align_corners=False)
    return resized.round()[0].permute(1, 2, 0)
