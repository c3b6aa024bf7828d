"""Chooses the device and the precision that a detector runs in."""

from __future__ import annotations

import torch

from streamdet.errors import InputError


def resolve_device(name: str) -> torch.device:
    """Return the device for ``auto`` (CUDA where present), ``cpu`` or ``cuda:N``; raises InputError."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device must be auto, cpu or cuda:N, got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device must be auto, cpu or cuda:N, got {name!r}")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise InputError(f"device {name!r} was asked for, but torch {torch.__version__} sees {count} CUDA devices")
    return device


def half_type(device: torch.device) -> torch.dtype:
    """Return the 16-bit type `device` computes in: fp16 on CUDA, bf16 on a CPU that has it; raises InputError."""
    if device.type == "cuda":
        return torch.float16
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise InputError("half precision was asked for, but this CPU has no bf16 arithmetic (AVX-512 BF16 or AMX)")
    return torch.bfloat16
