"""Bars: limits for measured figures, and whether they are met."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

Relation = Literal[">", "≥", "<", "≤"]
_HOLDS: dict[Relation, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "≥": operator.ge,
    "<": operator.lt,
    "≤": operator.le,
}


class Bar(NamedTuple):
    """A limit for a measured figure: the value `found` is to be larger or smaller than `limit`."""

    what: str
    found: float
    relation: Relation
    limit: float

    @property
    def met(self) -> bool:
        """Whether the figure is within the limit."""
        return _HOLDS[self.relation](self.found, self.limit)

    def __str__(self) -> str:
        return f"{self.what} shall be {self.relation} {self.limit:g}, found {self.found:.4g}"


def bars_table(title: str, bars: Sequence[Bar]) -> Table:
    """Return a table of the bars: figure, limit, and whether it is met."""
    table = Table("", "found", "shall be", "", title=title, box=SIMPLE_HEAD)
    for bar in bars:
        table.add_row(bar.what, f"{bar.found:.4g}", f"{bar.relation} {bar.limit:g}", "met" if bar.met else "missed")
    return table


def missed(bars: Sequence[Bar]) -> list[str]:
    """Return one sentence for every bar that is not met."""
    return [f"{bar}." for bar in bars if not bar.met]
