"""The function that every backend computes, as a torch module: images in, rows of candidate boxes out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamdet.models.weights import LoadedModel


class RowsNetwork(nn.Module):
    """Maps images uint8 (B, H, W, 3) RGB to rows f32 (B, A, 6): xyxy in model px, best class score, its class id.

    Batch norms are folded into the network of `model`, in place; it then computes in `dtype`.
    """

    def __init__(self, model: LoadedModel, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        self.network = model.module.fuse().to(dtype)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Run the network; on a GPU nothing here waits for the device."""
        pixels = images.permute(0, 3, 1, 2).to(self.dtype) * (1 / 255)
        head: Tensor = self.network(pixels).float()
        center, size, class_scores = head[:, :2], head[:, 2:4], head[:, 4:]
        scores, class_ids = class_scores.max(1, keepdim=True)
        rows = torch.cat([center - size / 2, center + size / 2, scores, class_ids.float()], 1)
        return rows.transpose(1, 2)
