"""What the bars of a run show."""

import os
import re
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from streamdet.cli import progress
from streamdet.errors import SourceUnreachable
from streamdet.options import SourceOptions
from streamdet.pipeline.camera import Camera
from streamdet.pipeline.pipeline import Pipeline
from tests.pipeline.fakes import PATIENCE_S, FakeClock, FakeSession, FakeSource, write_clip


def test_an_estimated_total_is_replaced_by_what_was_there(data: Path, tiny_weights: Path, tmp_path: Path) -> None:
    """A clip with a pause of half a minute lists no frames: its duration is that of 340, but it has 40."""
    command = [sys.executable, "-m", "streamdet", "track", str(data / "cases/video/motion_gap.mkv")]
    model = ["--model", str(tiny_weights), "--imgsz", "64", "--device", "cpu", "--tracks", str(tmp_path / "t.txt")]
    run = subprocess.run(
        [*command, *model], env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": "200"}, capture_output=True
    )
    assert run.returncode == 0
    bars = [line for line in run.stderr.decode().replace("\r", "\n").splitlines() if "tracking" in line]
    assert "40/340" not in bars[-1]
    assert "40/40" in bars[-1]


def test_a_run_without_a_first_detection_prepares_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, screen, session = write_clip(tmp_path / "clip.mp4", 3), StringIO(), FakeSession(held=True)
    monkeypatch.setattr(progress, "stderr", Console(file=screen, force_terminal=True, width=150))
    with Pipeline.from_session(session) as pipeline, pipeline.run(clip) as run:
        with progress.RunProgress(SourceOptions()) as shown:
            shown.add(run)
        session.let_go()
        assert "preparing the model  clip.mp4" in screen.getvalue()


def test_a_camera_on_a_pipe_tells_once_a_second_what_it_sees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    source = FakeSource(5, name="cam")
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(source) as run:
        sightings = progress.Sightings(run, clock.now_s)
        for result in run:
            sightings.add(result)
            clock.advance(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(r"\d\d:\d\d:\d\d \d+ tracks: \d+ car, \d+ person  age \d+ ms", line)


def test_a_camera_without_a_connection_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, gone = StringIO(), SourceUnreachable("nothing listens there")
    monkeypatch.setattr(progress, "stderr", Console(file=screen, force_terminal=True, width=150))
    waits = threading.Event()

    def connect() -> FakeSource:
        waits.set()
        raise gone

    camera = Camera(FakeSource(3, live=True, fails=gone), connect)
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(camera) as run:
        next(run)
        assert waits.wait(PATIENCE_S)
        with progress.RunProgress(SourceOptions()) as shown:
            shown.add(run)
    assert "waiting for the camera  fake" in screen.getvalue()
