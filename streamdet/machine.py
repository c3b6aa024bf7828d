"""The resources of this machine: cores, the images computed on them in parallel, and GPUs."""

from __future__ import annotations

import math
import os
import re
import shutil
from functools import cache
from pathlib import Path

from streamdet.errors import InputError, shown

# Linux shows a container the limits of its control group in this folder.
_CGROUP = Path("/sys/fs/cgroup")


@cache
def core_count() -> int:
    """Return the number of cores that this process may use, by its affinity and by the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, math.ceil(_cpu_quota(_CGROUP) or cores))


def images_in_flight() -> int:
    """Return the number of images that the CPU computes in parallel: two, or one on a single core.

    On two cores YOLOv8n at 384x640 takes 10 to 15 % less time per image in OpenVINO and ONNX Runtime, and 40 % less in
    torch, if each core computes its own image than if both compute the same one.
    """
    return min(2, core_count())


def _cpu_quota(cgroup: Path) -> float | None:
    """Return the CPU quota of the control group in the folder `cgroup`, in cores, None without a limit."""
    try:
        if (cgroup / "cpu.max").exists():  # control groups of version 2
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:  # of version 1
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):  # "max" is no number
        return None


def resolve_device(name: str) -> str:
    """Return ``cpu`` or ``cuda:N`` for ``auto`` (CUDA if available), ``cpu``, ``cuda``, ``cuda:N`` or ``N`` alone.

    For ``auto`` torch, whose import takes seconds, is only imported if there is an NVIDIA driver. Raises InputError for
    any other name, and for a device that torch does not find.
    """
    if name == "cpu" or (name == "auto" and not has_nvidia_driver()):
        return "cpu"
    numbered = re.fullmatch(r"cuda|(?:cuda:)?(\d+)", name)
    if name != "auto" and numbered is None:
        raise InputError(f"device must be auto, cpu or cuda:N, got {shown(name)}")
    import torch

    count = torch.cuda.device_count()
    if name == "auto":
        return "cuda:0" if count else "cpu"
    index = int(numbered[1] or 0) if numbered else 0
    if index >= count:
        raise InputError(f"device {shown(name)} was asked for, but torch {torch.__version__} sees {count} CUDA devices")
    return f"cuda:{index}"


def has_nvidia_driver() -> bool:
    """Return whether an NVIDIA driver is installed."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def bf16_error() -> InputError:
    """Return the error to raise when half precision is asked for on a CPU without bf16 arithmetic."""
    return InputError("half precision was asked for, but this CPU has no bf16 arithmetic (AVX-512 BF16 or AMX)")
