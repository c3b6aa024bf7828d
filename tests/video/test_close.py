"""Closing a source whose read has not returned, and may never return."""

import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from streamdet.types import Frame, VideoInfo
from streamdet.video.picture import Picture
from streamdet.video.source import Source

PICTURE = Picture(0, Fraction(1, 25), lambda: np.zeros((4, 6, 3), np.uint8))


class Stuck:
    """A reader whose read returns when `returns` is set, and which records the threads that closed it."""

    info = VideoInfo(6, 4, Fraction(25), None, live=True)
    damaged = 0
    warnings: list[str] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.entered, self.returns, self.stopped = threading.Event(), threading.Event(), threading.Event()
        self.closed_by: list[threading.Thread] = []

    def pictures(self) -> Iterator[Picture]:
        while not self.stopped.is_set():
            self.entered.set()
            self.returns.wait()
            yield PICTURE

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        self.closed_by.append(threading.current_thread())


def reading(reader: Stuck) -> tuple[Source, threading.Thread, list[Frame]]:
    """Return a source over `reader`, a thread whose read is in progress, and the frames that it gets."""
    source = Source(reader, "stuck", every=1, max_frames=None, audio_from=None)
    frames: list[Frame] = []
    thread = threading.Thread(target=lambda: frames.extend(source), daemon=True)
    thread.start()
    assert reader.entered.wait(30)
    return source, thread, frames


def test_a_read_that_does_not_return_is_left_to_its_thread() -> None:
    reader = Stuck()
    source, thread, frames = reading(reader)
    assert not source.close(timeout_s=0.01)
    assert not source.close(timeout_s=0)
    assert reader.stopped.is_set()
    assert reader.closed_by == []
    reader.returns.set()
    thread.join()
    assert reader.closed_by == [thread]
    assert len(frames) == 1
    assert source.close(timeout_s=0)
    assert reader.closed_by == [thread]
    assert list(source) == []


def test_a_read_that_returns_in_time_is_waited_for() -> None:
    class Obedient(Stuck):
        def stop(self) -> None:
            super().stop()
            self.returns.set()

    reader = Obedient()
    source, thread, frames = reading(reader)
    assert source.close(timeout_s=30)
    assert len(reader.closed_by) == 1
    thread.join()
    assert (len(frames), len(reader.closed_by)) == (1, 1)


def test_a_close_inside_a_read_is_carried_out_after_it() -> None:
    class Interrupted(Stuck):
        def pictures(self) -> Iterator[Picture]:
            assert not source.close(timeout_s=0)
            assert self.closed_by == []
            yield PICTURE

    reader = Interrupted()
    source = Source(reader, "interrupted", every=1, max_frames=None, audio_from=None)
    assert next(source).index == 0
    assert reader.closed_by == [threading.current_thread()]


def test_a_read_that_fails_after_the_close_releases_all_the_same() -> None:
    class Failing(Stuck):
        def pictures(self) -> Iterator[Picture]:
            source.close(timeout_s=0)
            raise OSError("gone")
            yield PICTURE

    reader = Failing()
    source = Source(reader, "failing", every=1, max_frames=None, audio_from=None)
    with pytest.raises(OSError, match="gone"):
        next(source)
    assert reader.closed_by == [threading.current_thread()]


def test_a_source_that_is_dropped_waits_for_nothing() -> None:
    waits: list[float] = []

    class Watched(Source):
        def close(self, timeout_s: float = 30) -> bool:
            waits.append(timeout_s)
            return super().close(timeout_s)

    reader = Stuck()
    source = Watched(reader, "dropped", every=1, max_frames=None, audio_from=None)
    del source
    assert waits == [0]
    assert reader.closed_by == [threading.current_thread()]
