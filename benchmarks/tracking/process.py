"""Commands in processes of their own."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from streamdet.errors import StreamdetError

ROOT = Path(__file__).resolve().parents[2]


def output_of(command: list[str]) -> str:
    """Return what `command`, run in the checkout, prints; raises StreamdetError with its last words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no message"]
        raise StreamdetError(f"expected exit code 0 of {shlex.join(command)}, found {done.returncode}: {words[-1]}")
    return done.stdout
