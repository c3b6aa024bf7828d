"""The command line, run in this process."""

import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from streamdet.cli.app import main


@pytest.fixture
def streamdet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Run a command; checks its exit code and returns what it printed to stderr and stdout."""

    def run(*arguments: object, code: int) -> str:
        monkeypatch.setattr(sys, "argv", ["streamdet", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert ended.value.code == code, captured
        return captured.err + captured.out

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
