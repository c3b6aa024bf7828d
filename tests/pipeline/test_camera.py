"""A camera whose stream fails is connected again: its frames go on in one sequence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from streamdet.errors import DeviceError, SourceBroken, SourceEnded, SourceRefused, SourceUnreachable
from streamdet.pipeline.camera import LONGEST_WAIT_S, STABLE_S, Camera, wait_s
from streamdet.pipeline.pipeline import Pipeline
from streamdet.types import Frame
from tests.pipeline.fakes import PATIENCE_S, FakeSession, FakeSource, soon

ENDED = SourceEnded("expected cam to go on, but the stream ended")
GONE = SourceUnreachable("expected a video stream at cam, but nothing listens there")


class Connection(FakeSource):
    """A connection of a camera: frames that begin with pts `first` and arrive from `arrives_s` on, then an error."""

    def __init__(
        self, count: int, arrives_s: float, *, first: int = 0, fails: Exception = ENDED, rate_hz: int = 25
    ) -> None:
        super().__init__(count, live=True, fails=fails, rate_hz=rate_hz)
        self._arrives_s, self._first_pts, self._index = arrives_s, first, 0

    def __next__(self) -> Frame:
        frame, index = super().__next__(), self._index
        self._index += 1
        received_at = self._arrives_s + index / self._rate_hz
        return replace(frame, index=index, pts=self._first_pts + index, received_at=received_at)


class Street:
    """The camera of a test: its connections and failures in turn, a clock that passes only while it is waited for."""

    def __init__(self, *answers: Connection | Exception) -> None:
        self.answers, self.time_s = list(answers), 0.0
        self.waits: list[float] = []
        self.during_wait: Callable[[], object] = lambda: None

    def connect(self) -> FakeSource:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.time_s += seconds
        return bool(self.during_wait())

    def camera(self, **options: float) -> Camera:
        return Camera(self.connect(), self.connect, now_s=lambda: self.time_s, wait=self.wait, **options)  # type: ignore[arg-type]


def read(camera: Camera, count: int) -> list[Frame]:
    return [next(camera) for _ in range(count)]


def test_frames_of_two_connections_are_one_sequence() -> None:
    street = Street(Connection(3, 10.0, first=7000), Connection(3, 12.0, first=0))
    frames = read(street.camera(), 6)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4, 5]
    # The last frame came at 10.08 s, the next one at 12 s: 1.92 s are 48 periods.
    assert [frame.pts for frame in frames] == [7000, 7001, 7002, 7050, 7051, 7052]
    assert {frame.source_id for frame in frames} == {"fake"}


def test_the_ticks_of_a_connection_are_its_own() -> None:
    street = Street(Connection(2, 0.0, first=100), Connection(2, 1.0, first=5, rate_hz=10))
    times = [frame.time for frame in read(street.camera(), 4)]
    assert times[:2] == [Fraction(100, 25), Fraction(101, 25)]
    # 0.96 s later, in the ticks of 0.1 s that the camera sends now: exactly one period apart again.
    assert times[3] - times[2] == Fraction(1, 10)
    assert float(times[2] - times[1]) == pytest.approx(0.96, abs=0.1)


def test_a_frame_that_arrives_at_once_is_later() -> None:
    frames = read(Street(Connection(1, 5.0, first=50), Connection(1, 5.0, first=3)).camera(), 2)
    assert [frame.pts for frame in frames] == [50, 51]


def test_waits_grow_until_frames_come_for_long() -> None:
    street = Street(Connection(1, 0.0), *7 * [GONE], Connection(1, 300.0), Connection(1, 400.0))
    camera = street.camera()
    read(camera, 1)
    read(camera, 1)
    for tries, seconds in enumerate(street.waits):
        longest_s = min(0.5 * 2**tries, LONGEST_WAIT_S)
        assert longest_s / 2 <= seconds <= longest_s
    assert len(street.waits) == 8
    street.time_s += STABLE_S + 1
    read(camera, 1)
    assert street.waits[8] <= 0.5
    assert camera.reconnects == 2


def test_a_connection_that_fails_at_once_does_not_begin_the_waits_anew() -> None:
    street = Street(Connection(1, 0.0), *(Connection(1, float(n)) for n in range(1, 9)))
    read(street.camera(), 9)
    assert street.waits[7] >= LONGEST_WAIT_S / 2


def test_a_refusal_is_tried_rarely() -> None:
    assert all(15 <= wait_s(0, SourceRefused("no")) <= 30 for _ in range(100))
    assert all(0.25 <= wait_s(0, GONE) <= 0.5 for _ in range(100))
    assert len({wait_s(3, GONE) for _ in range(10)}) == 10


def test_patience_ends_with_the_last_error() -> None:
    street = Street(Connection(2, 0.0), *20 * [GONE])
    camera = street.camera(patience_s=20.0)
    read(camera, 2)
    with pytest.raises(SourceUnreachable, match="nothing listens"):
        next(camera)
    assert street.time_s == 20.0


def test_a_connection_without_frames_uses_up_patience() -> None:
    street = Street(Connection(1, 0.0), *(Connection(0, 0.0, fails=SourceBroken(f"try {n}")) for n in range(50)))
    camera = street.camera(patience_s=5.0)
    read(camera, 1)
    with pytest.raises(SourceBroken, match="try"):
        next(camera)
    assert street.time_s == 5.0


def test_an_outage_is_seen_while_it_lasts() -> None:
    street = Street(Connection(1, 0.0), GONE, Connection(1, 9.0))
    camera, seen = street.camera(), []
    street.during_wait = lambda: seen.append(camera.outage)
    read(camera, 2)
    assert [(each.error, each.tries, each.since_s) for each in seen if each] == [(ENDED, 0, 0.0), (GONE, 1, 0.0)]
    assert camera.outage is None


def test_other_errors_are_raised() -> None:
    street = Street(Connection(1, 0.0, fails=DeviceError("the GPU fell off")), Connection(1, 1.0))
    camera = street.camera()
    read(camera, 1)
    with pytest.raises(DeviceError, match="fell off"):
        next(camera)


def test_stop_ends_an_outage() -> None:
    street = Street(Connection(1, 0.0), Connection(1, 1.0))
    camera = street.camera()
    read(camera, 1)

    def stop() -> bool:
        camera.stop()
        return True

    street.during_wait = stop
    with pytest.raises(StopIteration):
        next(camera)


def test_stop_during_a_wait_of_the_real_clock() -> None:
    street = Street(Connection(1, 0.0), *1000 * [GONE])
    camera = Camera(street.connect(), street.connect)
    read(camera, 1)
    rest: list[Frame] = []
    reader = threading.Thread(target=lambda: rest.extend(camera))
    reader.start()
    assert soon(lambda: camera.outage is not None and camera.outage.tries >= 1)
    camera.stop()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert rest == []


def test_connections_are_closed() -> None:
    connections = [Connection(1, float(n)) for n in range(3)]
    camera = Street(*connections).camera()
    read(camera, 3)
    assert [each.closed for each in connections] == [True, True, False]
    camera.close()
    assert connections[2].closed


def test_the_number_of_frames_is_that_of_all_connections() -> None:
    camera = Street(Connection(2, 0.0), Connection(2, 1.0)).camera(max_frames=3)
    assert len(list(camera)) == 3


def test_warnings_of_all_connections_are_told_once() -> None:
    connections = [Connection(1, 0.0), Connection(1, 1.0), Connection(1, 2.0)]
    for connection, warning in zip(connections, ("damaged", "damaged", "late"), strict=True):
        connection.warnings = [warning]
    camera = Street(*connections).camera()
    read(camera, 3)
    assert camera.warnings == ["damaged", "late"]


def test_ids_survive_an_outage_within_the_budget() -> None:
    def found(frame: Frame) -> list[list[float]]:
        return [[10, 8, 30, 44]]

    def ids(gap_s: float) -> list[int]:
        street = Street(Connection(10, 0.0), Connection(10, 0.36 + gap_s))
        with Pipeline.from_session(FakeSession(find=found)) as pipeline:
            camera = street.camera(max_frames=20)
            camera.info = replace(camera.info, live=False)  # so that every frame becomes a result
            with pipeline.run(camera) as run:
                results = list(run)
        assert len(results) == 20
        return sorted({int(each) for result in results for each in result.tracks.ids})

    assert ids(gap_s=1.0) == [1]
    assert ids(gap_s=60.0) == [1, 2]
