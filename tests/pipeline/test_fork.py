"""A forked child has none of its parent's threads: what needs them says so, and what is made in the child works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.fakes import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SCRIPT = """
import os, sys
from streamdet.pipeline.pipeline import Pipeline
from streamdet.detect.detector import Detector
from streamdet.options import DetectOptions
from tests.pipeline.fakes import FakeSession, FakeSource, grey_frame

def in_child(pipeline, run, runs, detector):
    {body}

pipeline = Pipeline.from_session(FakeSession())
run, runs = pipeline.run(FakeSource(50)), pipeline.runs(FakeSource(50))
next(run), next(runs)
detector = Detector.from_session(FakeSession(), DetectOptions())
child = os.fork()
if not child:
    try:
        print(in_child(pipeline, run, runs, detector), flush=True)
    except ValueError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(sum(1 for _ in run), flush=True)
pipeline.close()
"""


def printed(body: str) -> list[str]:
    """Return what a child prints that returns by `body`, and then the parent."""
    return lines(SCRIPT.format(body=body))


def lines(script: str) -> list[str]:
    """Return what a Python `script` prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", script]
    run = subprocess.run(command, env=environment, timeout=PATIENCE_S, check=True, capture_output=True, text=True)
    return run.stdout.splitlines()


@pytest.mark.parametrize(
    "use",
    [
        "pipeline.run(FakeSource(3))",
        "pipeline.runs(FakeSource(3))",
        "next(run)",
        "next(runs)",
        "detector(grey_frame(0).image)",
        "list(detector.stream(FakeSource(3)))",
    ],
)
def test_what_was_made_in_the_parent_names_the_way_out(use: str) -> None:
    child, parent = printed(f"return {use}")
    assert "found one of the process that forked this one" in child
    assert "multiprocessing's method 'spawn'" in child
    assert parent == "49"


@pytest.mark.parametrize("use", ["pipeline", "run", "runs"])
def test_the_child_may_close_it(use: str) -> None:
    assert printed(f"return {use}.close()") == ["None", "49"]


def test_what_is_made_in_the_child_works() -> None:
    own = "return len(list(Pipeline.from_session(FakeSession()).run(FakeSource(7))))"
    assert printed(own) == ["7", "49"]


def test_a_child_that_is_forked_during_an_update_tracks() -> None:
    script = """
import os
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Detections
from tests.pipeline.fakes import grey_frame

detections = Detections([[10, 10, 50, 90]], [0.9], [0])
busy = load_tracker("sort", 30)
update = busy._tracker.update

def fork(*arguments, **keywords):
    child = os.fork()
    if not child:
        print("child:", len(load_tracker("sort", 30).update(grey_frame(0), detections)), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    return update(*arguments, **keywords)

busy._tracker.update = fork
print("parent:", len(busy.update(grey_frame(0), detections)))
"""
    assert lines(script) == ["child: 1", "parent: 1"]
