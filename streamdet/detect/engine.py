"""A loaded model made ready to run: folded, in one precision, on one device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamdet.detect.device import half_type
from streamdet.model.build import fuse
from streamdet.model.weights import LoadedModel


class Engine(nn.Module):
    """Maps images uint8 (B, H, W, 3) RGB to rows f32 (B, A, 6): xyxy in model px, best class score, its class id."""

    def __init__(self, model: LoadedModel, device: torch.device, *, half: bool) -> None:
        super().__init__()
        self.device = device
        self.dtype = half_type(device) if half else torch.float32
        # Channels-last is how the images arrive and the layout that convolution kernels are fastest in.
        self.module = fuse(model.module).to(device, self.dtype).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Run the model; nothing here waits for the device."""
        pixels = images.permute(0, 3, 1, 2).to(self.dtype).mul_(1 / 255)
        head: Tensor = self.module(pixels).float()
        center, size, class_scores = head[:, :2], head[:, 2:4], head[:, 4:]
        scores, class_ids = class_scores.max(1, keepdim=True)
        rows = torch.cat([center - size / 2, center + size / 2, scores, class_ids.float()], 1)
        return rows.transpose(1, 2)
