"""What makes a run slow on this machine: cores, load, memory, disk, cache and backend."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from streamdet.files import cache_folder
from streamdet.machine import core_count, has_nvidia_driver

Status = Literal["ok", "warn", "fail"]

_CPU_FEATURES = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 bf16", "amx_bf16": "AMX bf16"}
_GIB = 2**30
LEAST_MEMORY_BYTES, LEAST_DISK_BYTES = 1 * _GIB, 1 * _GIB  # a run takes about 0.5 GiB; an hour of video about 1 GiB
_BUSY = 0.5  # load average per core above which other processes take a part that is felt


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: "fail" means that streamdet cannot work, "warn" that it lacks a feature or speed."""

    name: str
    status: Status
    found: str
    advice: str = ""


def cpu() -> Iterator[Check]:
    """Name the CPU, and warn of one that computes slowly, and of others that use it."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.+)$", text, re.MULTILINE)
    present = set(flags[1].split()) if flags else set()
    features = [label for flag, label in _CPU_FEATURES.items() if flag in present]
    name = model[1] if model else platform.processor() or platform.machine()
    cores, all_cores = core_count(), os.cpu_count() or 1
    of_all = f" of {all_cores}, by the limits of this process" if cores < all_cores else ""
    yield Check("cpu", "ok", f"{name}, {cores} cores{of_all}, {', '.join(features) or 'vector extensions unknown'}")
    if flags and "avx2" not in present:
        advice = "use a newer CPU, or give a virtual machine the features of its host"
        yield Check("cpu features", "warn", "no AVX2, so that detection takes several times as long", advice)
    if hasattr(os, "getloadavg"):
        yield load(os.getloadavg()[0], all_cores)


def load(average: float, cores: int) -> Check:
    """Report the load average of the last minute, of a machine with `cores`."""
    found = f"{average:.1f} on {cores} cores in the last minute"
    if average <= _BUSY * cores:
        return Check("load", "ok", found)
    return Check("load", "warn", f"{found}: other processes take time from a run", "end them, or wait; top lists them")


def space() -> Iterator[Check]:
    """Report the memory that is free, and the disk space where results and temporary files go."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file() and (kib := re.search(r"^MemAvailable:\s*(\d+) kB", meminfo.read_text(), re.MULTILINE)):
        yield _amount("memory", 1024 * int(kib[1]), LEAST_MEMORY_BYTES, "free", "end other programs")
    for name, folder in (("disk", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        yield _amount(name, free, LEAST_DISK_BYTES, f"free in {folder}", "free some, or work elsewhere")


def _amount(name: str, found: int, least: int, what: str, advice: str) -> Check:
    text = f"{found / _GIB:.1f} GiB {what}"
    return Check(name, "ok", text) if found >= least else Check(name, "warn", f"only {text}", advice)


def cache() -> Iterator[Check]:
    """Report whether converted models can be kept for the next start."""
    folder = cache_folder("graphs")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            yield Check("cache", "ok", str(folder.parent))
    except OSError as error:
        found = f"{folder.parent} cannot be written ({error.strerror}): every start converts its model again"
        yield Check("cache", "warn", found, "set XDG_CACHE_HOME to a folder that can be written")


def backend() -> Iterator[Check]:
    """Report what computes weights here, the fastest backend that is installed."""
    if has_nvidia_driver():
        return  # a GPU computes them, and the checks of CUDA tell about it
    if all(find_spec(name) for name in ("openvino", "onnx")):
        yield Check("backend", "ok", "OpenVINO computes on the CPU, the fastest here")
        return
    used = "ONNX Runtime" if all(find_spec(name) for name in ("onnxruntime", "onnx")) else "torch"
    advice = "pip install 'streamdet[cpu]'"
    yield Check("backend", "warn", f"{used} computes on the CPU, which takes longer than OpenVINO", advice)
