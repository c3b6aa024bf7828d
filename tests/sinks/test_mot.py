"""MOT rows."""

from pathlib import Path

import pytest

from tests.sinks.results import write


def test_frames_count_from_one(tmp_path: Path) -> None:
    assert write(tmp_path / "t.txt").read_text().splitlines() == [
        "1,1,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
        "1,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
        "3,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
    ]


def test_standard_output_gets_rows_of_mot(capfd: pytest.CaptureFixture[str]) -> None:
    write(Path("-"))
    assert capfd.readouterr().out.splitlines()[-1] == "3,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1"
