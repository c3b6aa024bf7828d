"""What the bars of a run show."""

import os
import subprocess
import sys
from pathlib import Path


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
