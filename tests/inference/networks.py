"""A small torch network of the layers that appearance models have, and its archive."""

from pathlib import Path

import torch
from torch import Tensor, nn


class SmallNetwork(nn.Module):
    """The layers that re-identification networks are made of, and sizes that depend on the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(8, 6), nn.BatchNorm1d(6), nn.GELU(approximate="tanh"))
        self.grey = nn.Buffer(torch.full((3, 1, 1), 0.5), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Map crops (b, 3, 16, 8) to features (b, 6)."""
        first, second = self.norm(self.stem(crops - self.grey)).chunk(2, dim=1)
        mixed = torch.cat([second, first], 1)
        gated = mixed * torch.sigmoid(mixed.mean((2, 3), keepdim=True))
        halves = gated.view(gated.shape[0] * 2, 4, -1).mean(2)
        features: Tensor = self.head(halves.view(-1, 8) + torch.arange(8.0))
        return features


def save_exported(network: nn.Module, path: Path) -> Path:
    """Write `network` for crops (b, 3, 16, 8), any b, as a ``.pt2`` archive."""
    batch = torch.export.Dim("b", min=1, max=64)
    program = torch.export.export(network, (torch.zeros(2, 3, 16, 8),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return path
