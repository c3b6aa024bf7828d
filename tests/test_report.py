"""What is said at the end of a run."""

import pytest

from streamdet.cli.findings import Findings
from streamdet.cli.report import RunReport, counted, found, pace
from streamdet.pipeline.run import RunStats
from streamdet.scheduler.threads import StageTime
from tests.test_findings import result


@pytest.mark.parametrize(
    ("classes", "line"),
    [
        (["car", "person", "person"], "3 tracks: 2 person, 1 car"),
        (["person"], "1 track: 1 person"),
        ([], "0 tracks"),
    ],
)
def test_what_was_found_is_counted_by_class(classes: list[str], line: str) -> None:
    assert found(classes) == line


def test_a_track_counts_once_as_the_class_that_it_was_seen_as_most_often() -> None:
    findings = Findings()
    for index, class_id in enumerate([0, 1, 1]):
        findings.add(result(index, 0.9, (7, 0.9), class_id=class_id))
    assert findings.classes == ["car"]


@pytest.mark.parametrize(
    ("frames", "elapsed_s", "line"),
    [(795, 12.06, "it in 12.1 s (66 fps)"), (9, 2.0, "it in 2.0 s (4.5 fps)"), (1234, 0.5, "it in 0.5 s (2468 fps)")],
)
def test_a_pace_has_the_digits_that_mean_something(frames: int, elapsed_s: float, line: str) -> None:
    assert pace("it", frames, elapsed_s) == line


def test_one_is_no_plural() -> None:
    assert (counted(0, "frame"), counted(1, "frame"), counted(2, "frame")) == ("0 frames", "1 frame", "2 frames")


@pytest.mark.parametrize("verbose", [False, True])
def test_the_stages_are_told_if_asked_for(capsys: pytest.CaptureFixture[str], verbose: bool) -> None:
    stages = (StageTime("detect", 4, 1.0), StageTime("write", 4, 3.0))
    report = RunReport(wall_s=4.0, stats=RunStats(stages), stages=stages)
    report.print("2 tracks: 2 person", ["odd"], verbose=verbose)
    lines = [line.rstrip() for line in capsys.readouterr().err.splitlines()]
    assert lines[:3] == ["warning: odd", "2 tracks: 2 person", "4 frames in 4.0 s (1.0 fps)"]
    table = ["stage   frames  ms/frame  busy", "detect       4    250.00   25%", "write        4    750.00   75%"]
    assert lines[3:] == ([*table, "bottleneck: write"] if verbose else [])


def test_a_camera_that_is_waited_for_is_no_bottleneck(capsys: pytest.CaptureFixture[str]) -> None:
    stages = (StageTime("wait", 4, 3.9), StageTime("track", 4, 0.1))
    report = RunReport(is_live=True, wall_s=4.0, stats=RunStats(stages, damaged=7), stages=stages)
    report.print("2 tracks: 2 person", [], verbose=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "warning: left out of the live source: 7 frames damaged by lost or wrong data"
    assert lines[-1] == "bottleneck: none, the run waits for the camera"
