"""Where the command line writes: results to stdout, everything about the run to stderr."""

from __future__ import annotations

import sys
import traceback

from rich.console import Console

DEBUG = "--debug"  # anywhere on the command line

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def warn(message: str) -> None:
    """Print one sentence that the user should know."""
    stderr.print("[yellow]warning:[/] ", end="")
    stderr.print(message, markup=False, soft_wrap=True)


def fail(message: str, code: int) -> int:
    """Print why the run failed, with the traceback under `DEBUG`; returns the exit code."""
    if DEBUG in sys.argv:
        traceback.print_exc()
    stderr.print("[red]error:[/] ", end="")
    stderr.print(message, markup=False, soft_wrap=True)
    return code
