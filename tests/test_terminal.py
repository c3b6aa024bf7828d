"""What a person at a terminal sees of ``streamdet track``, and what a pipe gets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.fakes import write_clip

pty = pytest.importorskip("pty", reason="needs a terminal of POSIX")

ROOT = Path(__file__).resolve().parents[1]
_STYLE = re.compile(r"\x1b\[[\d;]*m")

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """A function that runs ``streamdet track clip.mp4`` on a terminal, types `answer`; returns exit code and screen."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", 40)
    model = ["--model", str(tiny_weights), "--imgsz", "64", "--device", "cpu"]

    def run(*words: str, answer: str = "") -> tuple[int, str]:
        command = [sys.executable, "-m", "streamdet", "track", "clip.mp4", *model, *words]
        ours, theirs = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "150"}
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as running:
            os.close(theirs)
            os.write(ours, answer.encode())
            screen = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
        return running.returncode, _STYLE.sub("", screen.decode())

    return run


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_the_bar_shows_frames_rate_time_left_and_tracks(typed: Typed) -> None:
    code, screen = typed("--tracks", "t.txt")
    last = [line for line in re.split(r"[\r\n]", screen) if "/40" in line][-1]
    assert re.search(r"tracking  clip\.mp4 .* 40/40 +[\d.]* *fps \d\d:\d\d +\d+ tracks?", last)
    assert code == 0
    assert "stage" not in screen


def test_what_takes_long_is_named_and_the_cursor_stays(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _, screen = typed("--tracks", "t.txt")
    assert "converting tiny.safetensors: later starts take it from the cache" in screen
    assert "\x1b[?25l" not in screen
    _, screen = typed("--tracks", "t2.txt")
    assert "loading tiny.safetensors" in screen
    assert "converting" not in screen


def test_a_pipe_gets_plain_lines(streamdet: Callable[..., str], tmp_path: Path, tiny_weights: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 5)
    printed = streamdet("track", clip, "--model", tiny_weights, "--imgsz", 64, "--tracks", tmp_path / "t.txt", code=0)
    assert re.fullmatch(r"(warning: [^\n]+\n)?\d+ tracks?[^\n]*\n5 frames in [^\n]+\n", printed)


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("", 2), ("\x04", 2), ("y", 0)])
def test_a_person_is_asked_before_a_result_is_replaced(typed: Typed, tmp_path: Path, answer: str, code: int) -> None:
    (tmp_path / "t.txt").write_text("earlier")
    assert typed("--tracks", "t.txt", answer=f"{answer}\n")[0] == code
    assert ((tmp_path / "t.txt").read_text() == "earlier") == (code == 2)
