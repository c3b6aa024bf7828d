"""Output of the command line: names cannot command the terminal, and a terminal that is gone ends no run."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.text import Text

from streamdet.cli.console import fail, stderr, stdout, table, warn

HOSTILE = "a\x1b[2J\x9b31m\x7fb\udcff"
SHOWN = r"a\x1b[2J\x9b31m\x7fb\udcff"


def test_control_characters_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table("name")
    rows.add_row(Text(HOSTILE))
    stdout.print(rows, Path(HOSTILE), sep="\n")
    stdout.print(f"wrote {HOSTILE}", markup=False, soft_wrap=True)
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 2
    assert not set(HOSTILE[1:]) & set(printed) - set(SHOWN)


@pytest.mark.parametrize("tell", [warn, lambda message: fail(message, 2)])
def test_a_message_is_one_line(capsys: pytest.CaptureFixture[str], tell: Callable[[str], object]) -> None:
    tell(f"no\nfile {HOSTILE}")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(rf"no\nfile {SHOWN}")


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_messages_are_left_out_when_the_terminal_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stderr, "quiet", False)
    monkeypatch.setattr("sys.stderr", Gone())
    warn("nobody reads this")
    assert fail("nor this", 2) == 2


def test_results_that_cannot_be_printed_are_an_error() -> None:
    with pytest.raises(OSError, match="Input/output error"):
        type(stdout)(file=Gone()).print("the score")
