"""What this machine computes with: its cores, how images in flight share them, and its devices."""

from __future__ import annotations

import math
import os
import re
import shutil
from functools import cache
from pathlib import Path

from streamdet.errors import InputError

# Where a container finds its share of the machine: of version 2, then of version 1 of Linux' control groups.
_CGROUP = Path("/sys/fs/cgroup")


@cache
def core_count() -> int:
    """Return how many cores this process may use, by its affinity and by the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, math.ceil(quota_of(_CGROUP) or cores))


def images_in_flight() -> int:
    """Return how many images a CPU computes side by side: two, or one where there is one core.

    On two cores a YOLOv8n at 384x640 takes 10 to 15 % less time when each core has an image of its own than when both
    share one, in OpenVINO and in ONNX Runtime, and 40 % less in torch.
    """
    return min(2, core_count())


def quota_of(cgroup: Path) -> float | None:
    """Return how many cores' time the control group in the folder `cgroup` may take, None without a limit."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):  # "max" is no number
        return None


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
