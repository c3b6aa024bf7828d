"""Installs the pinned torch into this environment, and never several GB of CUDA packages unasked.

PyPI's torch for Linux is the CUDA build. Where pip would take it, this stops with both ways on, before any download.
Environment: ``TORCH_INDEX`` is the index of torch's CPU builds; ``CUDA=1`` accepts the CUDA build.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")


def main() -> int:
    """Resolve, check, install; returns the exit code."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS), "torch"]
    if index := os.environ.get("TORCH_INDEX"):
        command += ["--index-url", index]
    resolved = subprocess.run([*command, "--dry-run", "--report", "-"], stdout=subprocess.PIPE, text=True)
    if resolved.returncode:
        return resolved.returncode
    names = [package["metadata"]["name"] for package in json.loads(resolved.stdout)["install"]]
    if os.environ.get("CUDA") != "1" and any(name.startswith(CUDA_PACKAGES) for name in names):
        print(
            "error: pip would install the CUDA build of torch (several GB); run again with CUDA=1 to take it, or with "
            "TORCH_INDEX=URL of the CPU builds, which the install page of pytorch.org names",
            file=sys.stderr,
        )
        return 2
    return subprocess.run(command).returncode


sys.exit(main())
