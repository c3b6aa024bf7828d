"""A file is played as if it were a camera: each frame when it is due, and then the stream ends."""

import pytest

from streamdet.errors import SourceEnded
from streamdet.serve.playback import Playback
from tests.pipeline.fakes import FakeSource


class Clock:
    def __init__(self) -> None:
        self.time_s, self.waits = 50.0, list[float]()

    def wait(self, seconds: float) -> bool:
        self.waits.append(round(seconds, 6))
        self.time_s += seconds
        return False


def test_frames_come_when_they_are_due() -> None:
    clock = Clock()
    played = Playback(FakeSource(4, first=10), now_s=lambda: clock.time_s, wait=clock.wait)
    assert played.info.live and played.info.frame_count is None
    times = [next(played).received_at for _ in range(4)]
    assert times == pytest.approx([50.0, 50.04, 50.08, 50.12])
    with pytest.raises(SourceEnded, match="the file ended"):
        next(played)


def test_a_late_reader_does_not_wait() -> None:
    clock = Clock()
    played = Playback(FakeSource(3), now_s=lambda: clock.time_s, wait=clock.wait)
    next(played)
    clock.time_s += 1.0
    assert next(played).received_at == 51.0
    assert clock.waits == [0.0, 0.0]


def test_stop_ends_it_without_an_error() -> None:
    played = Playback(FakeSource(3))
    next(played)
    played.stop()
    assert list(played) == []
