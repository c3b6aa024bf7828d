"""Finds the device that a detector runs on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from streamdet.errors import InputError


def resolve_device(name: str) -> str:
    """Return ``cpu`` or ``cuda:N`` for ``auto`` (CUDA where present), ``cpu``, ``cuda`` or ``cuda:N``; or InputError.

    torch, which takes seconds to import, is asked only where there is an NVIDIA driver.
    """
    if name == "cpu" or (name == "auto" and not _nvidia_driver()):
        return "cpu"
    if name != "auto" and not re.fullmatch(r"cuda(:\d+)?", name):
        raise InputError(f"device must be auto, cpu or cuda:N, got {name!r}")
    import torch

    count = torch.cuda.device_count()
    if name == "auto":
        return "cuda:0" if count else "cpu"
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        raise InputError(f"device {name!r} was asked for, but torch {torch.__version__} sees {count} CUDA devices")
    return f"cuda:{index}"


def no_bf16() -> InputError:
    """Return the error for half precision on a CPU without it."""
    return InputError("half precision was asked for, but this CPU has no bf16 arithmetic (AVX-512 BF16 or AMX)")


def _nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
