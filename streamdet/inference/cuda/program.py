"""All that is computed for a batch of frames on the device: letterbox, network, suppression."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from streamdet.inference.cuda.candidates import Limits, suppressed
from streamdet.inference.graph import RowsNetwork
from streamdet.letterbox import PADDING, Letterbox


class Program:
    """Maps frames uint8 (B, H, W, 3) RGB on the device to rows, candidates and their state; waits for nothing."""

    def __init__(self, network: RowsNetwork, letterbox: Letterbox, limits: Limits) -> None:
        self._network, self._letterbox, self._limits = network, letterbox, limits

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rows f32 (B, A, 6), candidates f32 (B, K, 7) and state f32 (B, 2), see `suppressed`."""
        rows: Tensor = self._network(fitted(frames, self._letterbox))
        return rows, *suppressed(rows, self._limits)


def fitted(frames: Tensor, letterbox: Letterbox) -> Tensor:
    """Return `frames` uint8 (B, H, W, 3) as model input uint8 (B, h, w, 3).

    Bilinear between pixel centres and rounded. Where the frames shrink by a whole number, which most cameras' do, the
    result is the host's; else a pixel differs by 1 at most.
    """
    height, width = letterbox.resized_hw
    ratio = frames.shape[1] // height
    is_whole = tuple(frames.shape[1:3]) == (ratio * height, ratio * width)
    canvas = frames.new_full((len(frames), *letterbox.input_hw, 3), PADDING)
    place = canvas[:, letterbox.pad_y : letterbox.pad_y + height, letterbox.pad_x : letterbox.pad_x + width]
    place.copy_(_shrunk(frames, ratio) if is_whole else _resized(frames, (height, width)))
    return canvas


def _shrunk(frames: Tensor, ratio: int) -> Tensor:
    """Return one of `ratio` x `ratio` px: the middle one, or the mean of the middle four, halves rounded up.

    Reads only these pixels, where a resize would first make floats of all.
    """
    first = (ratio - 1) // 2
    if ratio % 2:
        return frames[:, first::ratio, first::ratio]
    above, below = (frames[:, y::ratio].short() for y in (first, first + 1))
    columns = above + below
    return (columns[:, :, first::ratio] + columns[:, :, first + 1 :: ratio] + 2) // 4


def _resized(frames: Tensor, hw: tuple[int, int]) -> Tensor:
    pixels = frames.permute(0, 3, 1, 2).float()
    resized = functional.interpolate(pixels, hw, mode="bilinear", align_corners=False)
    return resized.round().permute(0, 2, 3, 1)
