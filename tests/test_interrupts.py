"""Signals during ``streamdet track``: files stay whole whenever they come, and an ignored one stays ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from streamdet.cli.outputs import Outputs
from streamdet.result import Result
from streamdet.video.sink import VideoSink
from tests.pipeline.fakes import soon, write_clip

ROOT = Path(__file__).resolve().parents[1]
COUNT = 30

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

Track = Callable[..., str]


@pytest.fixture
def track(streamdet: Track, tmp_path: Path, tiny_weights: Path) -> Track:
    """Track a clip of `COUNT` frames to out.mp4 and t.jsonl in this process."""
    clip = write_clip(tmp_path / "clip.mp4", COUNT)
    files = ["--out", tmp_path / "out.mp4", "--tracks", tmp_path / "t.jsonl"]
    model = ["--model", tiny_weights, "--imgsz", 64, "--device", "cpu"]
    return lambda code, *more: streamdet("track", clip, *model, *files, *more, code=code)


def written(folder: Path) -> tuple[int, int]:
    """Return how many frames the video and the track file have, both of which must be whole."""
    with av.open(str(folder / "out.mp4")) as container:
        frames = sum(1 for _ in container.decode(video=0))
        assert container.duration == frames * 40_000
    lines = (folder / "t.jsonl").read_text()
    assert lines.endswith("\n")
    return frames, lines.count("\n") - 1  # without the header


def raise_in_frame(monkeypatch: pytest.MonkeyPatch, index: int, *numbers: int) -> None:
    """Raise the signals when the result of frame `index` has been written."""

    def write_and_raise(outputs: Outputs, result: Result) -> bool:
        more = write(outputs, result)
        if result.frame.index == index:
            for number in numbers:
                signal.raise_signal(number)
        return more

    write = Outputs.write
    monkeypatch.setattr(Outputs, "write", write_and_raise)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_second_signal_discards_what_is_in_flight(
    track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    raise_in_frame(monkeypatch, 5, number, number)
    track(128 + number)
    assert written(tmp_path) == (6, 6)


def test_signals_while_the_files_are_closed_leave_them_whole(
    track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_and_close(sink: VideoSink) -> None:
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        close(sink)

    close = VideoSink.close
    monkeypatch.setattr(VideoSink, "close", raise_and_close)
    track(130)
    assert written(tmp_path) == (COUNT, COUNT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(
    track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise_in_frame(monkeypatch, 5, number, number)
    track(0)
    assert written(tmp_path) == (COUNT, COUNT)
    assert signal.getsignal(number) is signal.SIG_IGN


def test_a_read_that_never_returns_does_not_hold_up_the_end(tmp_path: Path, tiny_weights: Path) -> None:
    clip, pipe, tracks = write_clip(tmp_path / "clip.ts", 200), tmp_path / "pipe.ts", tmp_path / "t.jsonl"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "streamdet", "track", str(pipe), "--tracks", str(tracks)]
    model = ["--model", str(tiny_weights), "--imgsz", "64", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = threading.Event()

    def write_and_hold() -> None:
        with pipe.open("wb", buffering=0) as end:
            end.write(clip.read_bytes())
            ended.wait()

    threading.Thread(target=write_and_hold, daemon=True).start()
    with subprocess.Popen([*command, *model], env=environment, stderr=subprocess.PIPE) as running:
        try:
            assert soon(lambda: tracks.exists() and tracks.read_text().count("\n") > 5)
            running.send_signal(signal.SIGINT)
            assert running.wait(timeout=15) == 130  # a read of a file may take 30 s
        finally:
            ended.set()
            running.kill()
    lines = tracks.read_text()
    assert lines.endswith("\n")
    assert lines.count("\n") > 5
