"""Openings that hang in a call without a timeout: they are given up, counted, and tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import av
import pytest

from streamdet.errors import SourceUnreachable
from streamdet.pipeline.camera import Camera
from streamdet.pipeline.line import FrameSource
from streamdet.video.deadline import MOST_HANGING, hanging_calls, opened_within
from streamdet.video.source import open_source
from tests.pipeline.fakes import FakeSource, soon

ADDRESS = "rtsp://camera.example/live"


class Opened:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """An event that lets all hanging calls return; set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_what_opens_in_time_is_returned_and_its_error_raised() -> None:
    def fails() -> Opened:
        raise ZeroDivisionError

    opened = Opened()
    assert opened_within(20, "cam", lambda: opened) is opened
    with pytest.raises(ZeroDivisionError):
        opened_within(20, "cam", fails)
    assert not opened.closed.is_set()
    assert hanging_calls("cam") == 0


def test_what_opens_too_late_is_closed(let_go: threading.Event) -> None:
    opened = Opened()

    def opening() -> Opened:
        let_go.wait()
        return opened

    with pytest.raises(TimeoutError):
        opened_within(0.01, "cam", opening)
    assert hanging_calls("cam") == 1
    let_go.set()
    assert opened.closed.wait(20)
    assert soon(lambda: hanging_calls("cam") == 0)


def test_an_opening_that_hangs_is_given_up_and_no_more_than_three_are_left(
    let_go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def hangs(file: str, **_: object) -> None:
        begun.append(file)
        let_go.wait()
        raise av.error.ConnectionRefusedError(111, "refused", file)

    monkeypatch.setattr(av, "open", hangs)
    for number in range(MOST_HANGING + 2):
        said = "did not answer in time" if number < MOST_HANGING else "3 earlier calls have not returned"
        with pytest.raises(SourceUnreachable, match=said):
            open_source(ADDRESS, timeout_s=0.01)
    assert begun == MOST_HANGING * [ADDRESS]
    let_go.set()
    assert soon(lambda: hanging_calls(ADDRESS) == 0)
    with pytest.raises(SourceUnreachable, match="nothing listens there"):
        open_source(ADDRESS, timeout_s=20)


def test_a_camera_goes_on_after_an_opening_that_hung(let_go: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(**_: object) -> None:
        let_go.wait()
        raise OSError

    monkeypatch.setattr(av, "open", hangs)
    answers: Iterator[Callable[[], FrameSource]] = iter(
        [lambda: open_source(ADDRESS, timeout_s=0.01), lambda: FakeSource(2, live=True)]
    )
    gone = SourceUnreachable("gone")
    camera = Camera(FakeSource(1, live=True, fails=gone), lambda: next(answers)(), wait=lambda seconds: False)
    assert [next(camera).index for _ in range(3)] == [0, 1, 2]
    assert camera.reconnects == 1
