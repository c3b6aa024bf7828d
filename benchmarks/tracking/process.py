"""Commands run in separate processes."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from streamdet.errors import StreamdetError

ROOT = Path(__file__).resolve().parents[2]


def run_command(command: list[str]) -> str:
    """Return the output of `command`, run in the checkout; raises StreamdetError with the last line of its errors."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no message"]
        raise StreamdetError(f"expected exit code 0 of {shlex.join(command)}, found {done.returncode}: {words[-1]}")
    return done.stdout
