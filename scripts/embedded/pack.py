"""Packs trained weights as 16-bit numbers, to be shipped with the package."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def pack(weights: Path, out: Path) -> str:
    """Write the tensors of the file `weights` to `out` in fp16; returns a line with path, count and size."""
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(weights)
    halved = {key: tensor.half() if tensor.dtype == torch.float32 else tensor for key, tensor in tensors.items()}
    out.parent.mkdir(exist_ok=True)
    save_file(halved, out, metadata)
    return f"{out}, {sum(t.numel() for t in tensors.values()):,} numbers in {out.stat().st_size / 1e6:.2f} MB"
