"""Output of the command line: results go to stdout, everything about the run to stderr; the style of tables."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

DEBUG = "--debug"  # anywhere on the command line

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def warn(message: str) -> None:
    """Print one sentence as a warning."""
    stderr.print("[yellow]warning:[/] ", end="")
    stderr.print(message, markup=False, soft_wrap=True)


def fail(message: str, code: int) -> int:
    """Print why the run failed, with the traceback if `DEBUG` was given; returns `code`."""
    if DEBUG in sys.argv:
        traceback.print_exc()
    stderr.print("[red]error:[/] ", end="")
    stderr.print(message, markup=False, soft_wrap=True)
    return code


def table(*headings: str, left: Sequence[str] = ()) -> Table:
    """Return an empty table whose columns are aligned right, as for numbers, except those named in `left`."""
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        rows.add_column(heading, justify="left" if heading in left else "right", overflow="fold")
    return rows
