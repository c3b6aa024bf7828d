"""The webcams of the demo's open pages."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from demo import webcam
from demo.webcam import Webcams
from streamdet.errors import InputError
from streamdet.page_options import PageOptions
from streamdet.pipeline.pipeline import Pipeline
from tests.pipeline.fakes import FakeSession

Views = AsyncIterator[tuple[str, str]]
IMAGE = np.zeros((48, 64, 3), np.uint8)


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with Pipeline.from_session(FakeSession()) as opened:
        yield opened


async def ending(views: Views) -> str:
    """Read until the end, and return the sentence with which it comes, empty for none."""
    try:
        async for _ in views:
            pass
    except InputError as error:
        return str(error)
    return ""


def test_a_webcam_beyond_the_limit_is_refused_and_waiting_holds_no_thread(pipeline: Pipeline) -> None:
    async def scenario() -> tuple[set[str], set[str]]:
        webcams = Webcams(pipeline, PageOptions(max_webcams=2))
        watching = [asyncio.create_task(ending(webcams.watch(f"page {number}"))) for number in range(40)]
        while sum(task.done() for task in watching) < 38:
            await asyncio.sleep(0)
        refused = {task.result() for task in watching if task.done()}
        # As many threads as the event loop has: all of them are free.
        await asyncio.gather(*(asyncio.to_thread(int) for _ in range(64)))
        webcams.close()
        return refused, {await task for task in watching if not task.done()}

    refused, closed = asyncio.run(asyncio.wait_for(scenario(), timeout=60))
    assert refused == {"expected at most 2 webcams at a time, and all places are taken: try again later"}
    assert closed == {""}


def test_a_webcam_that_sends_nothing_gives_its_place_back(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webcam, "_IDLE_S", 0.1)
    webcams = Webcams(pipeline, PageOptions(max_webcams=1))
    for _ in range(2):
        sentence = asyncio.run(asyncio.wait_for(ending(webcams.watch("page")), timeout=60))
        assert sentence == "the webcam's place was given back, since no frame came for 0.1 s"
    assert not webcams.receive("page", IMAGE)


def test_the_time_of_a_webcam_is_limited(pipeline: Pipeline) -> None:
    async def scenario() -> str:
        webcams = Webcams(pipeline, PageOptions(max_seconds=1))
        watching = asyncio.create_task(ending(webcams.watch("page")))
        while not watching.done():
            webcams.receive("page", IMAGE)
            await asyncio.sleep(0.01)
        return await watching

    sentence = asyncio.run(asyncio.wait_for(scenario(), timeout=60))
    assert sentence == "the webcam's place was given back after 1 s"


def test_a_page_that_came_back_may_leave_before_its_first_connection_is_given_up() -> None:
    webcams = Webcams(None, PageOptions())  # type: ignore[arg-type]
    first, second = webcams._opened("page"), webcams._opened("page")
    first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    first.__exit__(None, None, None)


def test_only_the_newest_frame_waits_and_every_webcam_counts_ids_from_one() -> None:
    session = FakeSession()
    with Pipeline.from_session(session) as pipeline:
        for _ in range(2):
            source = webcam.Webcam()
            for number in (7, 8, 9):
                source.receive(np.full((120, 160, 3), number, np.uint8))
            source.close()
            with pipeline.run(source, draw=True, conf=0.75) as run:
                ((url, line),) = webcam.shown(run)
            assert url.startswith("data:image/jpeg;base64,")
            assert re.fullmatch(r"1 tracked, 2 dropped · .* fps · latency \d+ ms · ids: 1", line)
    assert session.batches == [[9], [9]]
