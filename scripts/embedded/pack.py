"""Packs the mean of trained weights as 16-bit numbers, to be shipped with the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def pack(weights: Sequence[Path], out: Path) -> str:
    """Write the mean of the tensors in all files `weights` to `out` in fp16; returns a line with path, count and size.

    Weights of trainings of which one began with the other's may be averaged, and the mean generalises better than
    either (model soups, arXiv 2203.05482). All files must be of the same network.
    """
    found = [load_file(path) for path in weights]
    with safe_open(weights[0], "pt") as file:
        metadata = file.metadata()
    tensors = {key: _mean([each[key] for each in found]) for key in found[0]}
    halved = {key: tensor.half() if tensor.dtype == torch.float32 else tensor for key, tensor in tensors.items()}
    out.parent.mkdir(exist_ok=True)
    save_file(halved, out, metadata)
    return f"{out}, {sum(t.numel() for t in tensors.values()):,} numbers in {out.stat().st_size / 1e6:.2f} MB"


def _mean(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean of tensors, and of whole numbers, which are counts, the first."""
    return torch.stack(list(tensors)).mean(0) if tensors[0].is_floating_point() else tensors[0]
