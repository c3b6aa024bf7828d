"""Sources that take long to open, or cannot be opened: neither stops other runs, nor their end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamdet.errors import InputError
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from streamdet.video.source import open_source
from tests.pipeline.fakes import FakeSession, FakeSource, soon
from tests.pipeline.outcomes import alone, outcomes
from tests.pipeline.reader import Reader

pytestmark = pytest.mark.usefixtures("no_thread_survives")


@pytest.fixture
def opening(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let `open_source` of "blocks.mp4" return when the event is set."""
    answer = threading.Event()

    def opened(spec: Any, **options: Any) -> Any:
        if str(spec) != "blocks.mp4":
            return open_source(spec, **options)
        answer.wait()
        return FakeSource(3, name="blocks.mp4")

    monkeypatch.setattr("streamdet.pipeline.opening.open_source", opened)
    yield answer
    answer.set()


def test_a_run_that_is_cancelled_while_its_source_is_opened_does_not_stop_the_others(opening: threading.Event) -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs("blocks.mp4", FakeSource(5))
        reader = Reader(runs)
        assert soon(lambda: runs.all[0]._thread.ident is not None)
        runs.all[0].cancel()
        try:
            assert soon(lambda: reader.ended), f"{len(reader.read)} of 5 results"
        finally:
            opening.set()


def test_closing_a_pipeline_ends_a_reader_although_a_source_is_being_opened(opening: threading.Event) -> None:
    pipeline = Pipeline.from_session(FakeSession())
    runs = pipeline.runs("blocks.mp4")
    reader = Reader(runs)
    assert soon(lambda: runs.all[0]._thread.ident is not None)
    pipeline.close(timeout_s=0.05)
    try:
        assert soon(lambda: reader.ended)
    finally:
        opening.set()


def test_a_thread_that_is_opening_when_the_pipeline_closes_is_counted(opening: threading.Event) -> None:
    pipeline = Pipeline.from_session(FakeSession())
    runs = pipeline.runs("blocks.mp4")
    runs.all[0].start()
    pipeline.close(timeout_s=0.05)
    try:
        assert pipeline.abandoned == 1
    finally:
        opening.set()


def test_stop_does_not_wait_for_a_source_that_is_being_opened(opening: threading.Event) -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs("blocks.mp4")
        reader = Reader(runs)
        assert soon(lambda: runs.all[0]._thread.ident is not None)
        runs.stop()
        try:
            assert soon(lambda: reader.ended)
        finally:
            opening.set()


def test_a_source_that_cannot_be_opened_fails_alone(tmp_path: Path) -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(tmp_path / "nothing.mp4", FakeSource(4))
        results: list[tuple[Run, Result]] = []
        with pytest.raises(ExceptionGroup, match="1 of 2 runs failed"):
            results.extend(runs)
        assert "nothing.mp4" in str(runs.all[0].error)
        assert outcomes(results, runs.all[1]) == alone(4)


def test_a_source_that_cannot_be_connected_leaves_the_session_free() -> None:
    class Refusing(FakeSource):
        def keep_on_device(self, to_device: Any) -> None:
            raise InputError("no")

    session = FakeSession()
    pipeline = Pipeline.from_session(session)
    with pytest.raises(InputError):
        pipeline.run(Refusing(3))
    pipeline.close()
    assert session.closed


def test_a_camera_that_cannot_be_opened_is_named_without_its_password() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        (run,) = pipeline.runs("gopher://me:secret@camera/1").all
        assert run.source_id == "gopher://camera/1"
