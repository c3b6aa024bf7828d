"""``streamdet doctor``: a table of what this machine has and lacks.

Imports nothing that may be missing or broken here, or the command could not report it.
"""

from __future__ import annotations

from rich.markup import escape

from streamdet.cli.console import stdout, table
from streamdet.doctor import diagnose

_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def print_diagnosis() -> bool:
    """Print every check with its finding and advice; returns whether streamdet can work here."""
    checks = diagnose()
    rows = table("", "check", "found", "advice", left=("", "check", "found", "advice"))
    for check in checks:
        rows.add_row(_MARKS[check.status], *(escape(text) for text in (check.name, check.found, check.advice)))
    stdout.print(rows)
    return all(check.status != "fail" for check in checks)
