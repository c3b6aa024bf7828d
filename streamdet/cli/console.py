"""Output of the command line: results go to stdout, everything about the run to stderr; the style of tables."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from streamdet.errors import printable, without_passwords

DEBUG = "--debug"  # anywhere on the command line


class _Results(Console):
    """A console on which no text, such as a file name or the name of a class, controls the terminal."""

    def render_str(self, text: str, **style: Any) -> Text:
        """Return `text` as rich renders it, with its control characters escaped before rich leaves some of them out."""
        return super().render_str(_visible(text), **style)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield what rich renders, with control characters in texts escaped; lines stay lines."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_visible(segment.text))


class _Messages(_Results):
    """A console that is silent once its terminal, or the reader of its pipe, is gone: a run goes on without it."""

    def __exit__(self, *details: Any) -> None:
        try:
            super().__exit__(*details)
        except OSError:
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Be silent from now on."""
        self.quiet = True


class _Rows(Table):
    """A table whose cells are one line each."""

    def add_row(self, *cells: Any, **style: Any) -> None:
        """Add a row of cells, with the line ends of texts escaped."""
        super().add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in cells), **style)


def _visible(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


stdout = _Results(highlight=False)
stderr = _Messages(stderr=True, highlight=False)


def warn(message: str) -> None:
    """Print one sentence as a warning."""
    stderr.print("[yellow]warning:[/] ", end="")
    stderr.print(printable(message), markup=False, soft_wrap=True)


def fail(message: str, code: int) -> int:
    """Print why the run failed, with the traceback if `DEBUG` was given; returns `code`."""
    if DEBUG in sys.argv:
        sys.stderr.write(without_passwords(traceback.format_exc()))
    stderr.print("[red]error:[/] ", end="")
    stderr.print(printable(message), markup=False, soft_wrap=True)
    return code


def table(*headings: str, left: Sequence[str] = ()) -> Table:
    """Return an empty table whose columns are aligned right, as for numbers, except those named in `left`."""
    rows = _Rows(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        rows.add_column(heading, justify="left" if heading in left else "right", overflow="fold")
    return rows
