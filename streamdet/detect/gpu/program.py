"""All that is computed for a batch of frames on the device: letterbox, network, suppression."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from streamdet.detect.gpu.candidates import Limits, suppressed
from streamdet.detect.preprocess import PADDING
from streamdet.geometry import Letterbox
from streamdet.graph.rows import RowsNetwork


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
    """Return `frames` uint8 (B, H, W, 3) as model input f32 (B, h, w, 3), 0 to 255.

    Bilinear between pixel centres and rounded, as on the host, from which a pixel differs by 1 at most.
    """
    height, width = letterbox.resized_hw
    pixels = frames.permute(0, 3, 1, 2).float()
    if pixels.shape[2:] != (height, width):
        pixels = functional.interpolate(pixels, (height, width), mode="bilinear", align_corners=False).round()
    below = letterbox.input_hw[0] - height - letterbox.pad_y
    right = letterbox.input_hw[1] - width - letterbox.pad_x
    sides = (letterbox.pad_x, right, letterbox.pad_y, below)
    return functional.pad(pixels, sides, value=float(PADDING)).permute(0, 2, 3, 1)
