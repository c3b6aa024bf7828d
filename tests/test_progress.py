"""What the bars of a run show."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from streamdet.cli import progress
from streamdet.options import SourceOptions
from streamdet.pipeline.pipeline import Pipeline
from tests.pipeline.fakes import FakeSession, write_clip


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
