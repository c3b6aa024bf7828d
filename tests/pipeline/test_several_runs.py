"""Several runs read as one: turns, runs that are added, and runs that wait until others end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamdet.pipeline.pipeline import Pipeline
from streamdet.video.location import locate
from tests.pipeline.fakes import FakeSession, FakeSource, soon

pytestmark = pytest.mark.usefixtures("no_thread_survives")


def test_files_take_turns() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        names = [run.source_id for run, _ in pipeline.runs(FakeSource(3, name="a"), FakeSource(2, name="b"))]
    assert names == ["a", "b", "a", "b", "a"]


def test_a_camera_is_added_and_another_cancelled_while_others_go_on() -> None:
    session = FakeSession()
    first, second, third = (FakeSource(live=True, ended=False, name=name) for name in ("first", "second", "third"))
    with Pipeline.from_session(session) as pipeline:
        runs = pipeline.runs(first, second)
        first.feed()
        run, result = next(runs)
        assert (run.source_id, result.frame.index) == ("first", 0)
        added = runs.add(third)
        third.feed()
        run, result = next(runs)
        assert (run, result.frame.index) == (added, 0)
        cancelled = runs.all[1]
        cancelled.cancel()
        second.feed()
        first.feed()
        run, result = next(runs)
        assert (run.source_id, result.frame.index) == ("first", 1)
        first.end()
        third.end()
        assert list(runs) == []
        assert cancelled.error is None


def test_files_come_out_beside_a_camera_that_is_faster_than_the_reader() -> None:
    camera = FakeSource(live=True, ended=False, name="camera")
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(camera, FakeSource(40, name="file"))
        names = []
        for _ in range(20):
            camera.feed()
            assert soon(lambda: runs.all[0].ready() or runs.all[0]._thread.ident is None)
            names.append(next(runs)[0].source_id)
    assert "file" in names[5:]


def test_runs_that_have_not_begun_do_not_begin_after_a_stop() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(FakeSource(30), "nothing.mp4", at_once=1)
        next(runs)
        runs.stop()
        list(runs)
        assert runs.all[1]._thread.ident is None


def test_a_run_that_is_added_to_closed_runs_does_not_begin() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(FakeSource(3))
        runs.close()
        source = FakeSource(3)
        try:
            runs.add(source)
        except ValueError:
            return
        assert list(runs) == []
        assert source.read == 0


def test_sources_that_wait_are_not_looked_up_for_each_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[Any]()

    def counted(spec: Any) -> Any:
        calls.append(spec)
        return locate(spec)

    monkeypatch.setattr("streamdet.pipeline.opening.locate", counted)
    (tmp_path / "waits.mp4").touch()
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(FakeSource(50), *[tmp_path / "waits.mp4"] * 10, at_once=1)
        for _ in range(50):
            next(runs)
        assert len(calls) <= 20
