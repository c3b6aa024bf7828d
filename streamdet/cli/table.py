"""The look of all tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table


def table(*headings: str, left: Sequence[str] = ()) -> Table:
    """Return an empty table: numbers to the right, except in the columns `left`."""
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        rows.add_column(heading, justify="left" if heading in left else "right", overflow="fold")
    return rows
