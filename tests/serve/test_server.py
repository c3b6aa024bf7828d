"""Cameras of a server: each by itself, over failures and hanging reads, added and removed while others go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamdet.errors import InputError, SourceEnded, SourceUnreachable
from streamdet.pipeline import camera as waits
from streamdet.pipeline.pipeline import Pipeline
from streamdet.result import Result
from streamdet.serve import local
from streamdet.serve.local import InProcess
from streamdet.serve.options import CameraSite
from streamdet.serve.server import Server
from streamdet.serve.site import Site
from streamdet.serve.watch import State, Status
from streamdet.types import Frame
from streamdet.video.source import open_source
from tests.pipeline.fakes import FakeSession, FakeSource, soon

PASSWORD = "hunter2!"


class Cameras:
    """The sources that a server opens, by the name of their camera: connections or failures, in turn."""

    def __init__(self) -> None:
        self.answers: dict[str, list[FakeSource | Exception]] = {}
        self.opened: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, site: CameraSite) -> FakeSource:
        with self._lock:
            self.opened.append(site.name)
            answer = self.answers[site.name].pop(0) if self.answers[site.name] else SourceUnreachable("gone for good")
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(waits, "LONGEST_WAIT_S", 0.02)


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with Pipeline.from_session(FakeSession()) as pipeline:
        yield pipeline


def endless(**options: object) -> FakeSource:
    return FakeSource(live=True, ended=False, **options)  # type: ignore[arg-type]


def site(*names: str) -> Site:
    cameras = tuple(CameraSite(name=name, source=f"rtsp://user:{PASSWORD}@{name}/1") for name in names)
    return Site(cameras=cameras, secrets={"DOOR": PASSWORD})


def status(server: Server, name: str) -> Status:
    return next(each for each in server.status() if each.name == name)


def is_in(server: Server, name: str, state: State) -> Callable[[], bool]:
    return lambda: status(server, name).state is state


def test_a_camera_that_cannot_be_reached_disturbs_no_other(pipeline: Pipeline) -> None:
    cameras, good = Cameras(), endless()
    cameras.answers = {"good": [good], "bad": []}
    with Server(site("good", "bad"), InProcess(pipeline, open_source=cameras)) as server:
        good.feed(5)
        assert soon(is_in(server, "good", State.LIVE))
        assert soon(is_in(server, "bad", State.LOST))
        assert soon(lambda: cameras.opened.count("bad") > 3)
        assert status(server, "bad").why == "gone for good"
        assert status(server, "good").why == ""
        assert cameras.opened.count("good") == 1
        assert server.ready


def test_a_camera_that_comes_late_is_live(pipeline: Pipeline) -> None:
    cameras, late = Cameras(), endless()
    cameras.answers = {"a": [SourceUnreachable("not yet"), SourceUnreachable("not yet"), late]}
    with Server(site("a"), InProcess(pipeline, open_source=cameras)) as server:
        late.feed(3)
        assert soon(is_in(server, "a", State.LIVE))


def test_an_outage_is_told_and_ends(pipeline: Pipeline) -> None:
    cameras = Cameras()
    first, second = FakeSource(3, live=True, fails=SourceEnded("the stream ended")), endless()
    reached = threading.Event()

    def opened(camera: CameraSite) -> FakeSource:
        if cameras.opened and not reached.is_set():
            raise SourceUnreachable(f"no route to {PASSWORD}")
        return cameras(camera)

    cameras.answers = {"a": [first, second]}
    with Server(site("a"), InProcess(pipeline, open_source=opened)) as server:
        assert soon(lambda: "no route" in status(server, "a").why)
        assert status(server, "a").why == "no route to {DOOR}"
        reached.set()
        second.feed(3)
        assert soon(is_in(server, "a", State.LIVE))
        assert status(server, "a").reconnects == 1


def test_a_read_that_hangs_is_left_behind(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LEAVE_S", 0.05)
    cameras = Cameras()
    hanging, next_one = FakeSource(3, live=True, hangs=True), endless()
    cameras.answers = {"a": [hanging, next_one]}
    with Server(site("a"), InProcess(pipeline, open_source=cameras)) as server:
        assert soon(is_in(server, "a", State.LIVE))
        watch = server.watch("a")
        assert watch is not None
        assert not watch.release_if_stuck(time.monotonic())
        assert watch.release_if_stuck(time.monotonic() + local.STUCK_S + 1)
        assert soon(lambda: cameras.opened == ["a", "a"])
        before = status(server, "a").results
        next_one.feed(3)
        assert soon(lambda: status(server, "a").results > before)
        assert status(server, "a").abandoned == 1
        hanging.answer.set()


def test_an_error_of_a_receiver_begins_the_run_again(pipeline: Pipeline) -> None:
    cameras, taken = Cameras(), list[int]()
    cameras.answers = {"a": [FakeSource(1, live=True, ended=False), FakeSource(2, live=True, ended=False)]}

    def take(camera: CameraSite, result: object) -> None:
        taken.append(1)
        if len(taken) == 1:
            raise SourceUnreachable("the disk is full")

    with Server(site("a"), InProcess(pipeline, open_source=cameras, take=take)) as server:
        assert soon(lambda: len(taken) >= 2)
        assert soon(is_in(server, "a", State.LIVE))


def test_cameras_come_and_go(pipeline: Pipeline) -> None:
    cameras, kept = Cameras(), endless()
    cameras.answers = {"kept": [kept], "old": [endless()], "new": [endless()]}
    with Server(site("kept", "old"), InProcess(pipeline, open_source=cameras)) as server:
        kept.feed(1)
        assert soon(lambda: sorted(cameras.opened) == ["kept", "old"])
        assert server.change(site("kept", "new")) == (["new"], ["old"])
        assert soon(lambda: sorted(cameras.opened) == ["kept", "new", "old"])
        assert sorted(each.name for each in server.status()) == ["kept", "new"]
        with pytest.raises(InputError, match="there is a camera kept"):
            server.add(site("kept").cameras[0])
        with pytest.raises(InputError, match="none that is called old"):
            server.remove("old")


def test_ids_go_on_after_a_restart(pipeline: Pipeline, tmp_path: Path) -> None:
    def ids(connection: FakeSource) -> set[int]:
        cameras, seen = Cameras(), set[int]()
        cameras.answers = {"a": [connection]}
        camera = CameraSite(name="a", source="rtsp://a", state=str(tmp_path / "state" / "a.state"))

        def take(_: CameraSite, result: object) -> None:
            seen.update(result.tracks.ids.tolist())  # type: ignore[attr-defined]

        with Server(Site(cameras=(camera,)), InProcess(pipeline, open_source=cameras, take=take)) as server:
            for _ in range(6):
                before = status(server, "a").results
                connection.feed(1)
                assert soon(lambda before=before: status(server, "a").results > before)  # type: ignore[misc]
        return seen

    first, second = ids(endless()), ids(endless(name="other"))
    assert len(first) > 1
    assert first == second or not first & second


def test_close_ends_cameras_that_wait(pipeline: Pipeline) -> None:
    cameras = Cameras()
    cameras.answers = {"a": [], "b": [endless()]}
    server = Server(site("a", "b"), InProcess(pipeline, open_source=cameras))
    assert soon(lambda: {"a", "b"} <= set(cameras.opened))
    assert server.close() == 0
    assert {each.state for each in server.status()} == {State.STOPPED}


def test_a_camera_is_recorded(pipeline: Pipeline, tmp_path: Path) -> None:
    cameras = Cameras()
    cameras.answers = {"a": [source := endless()]}
    camera = CameraSite(name="a", source="rtsp://a", record=tmp_path / "rec", segment_s=1.0)
    with Server(Site(cameras=(camera,)), InProcess(pipeline, open_source=cameras)) as server:
        for _ in range(40):  # at 25 Hz
            before = status(server, "a").results
            source.feed(1)
            assert soon(lambda before=before: status(server, "a").results > before)  # type: ignore[misc]
    assert sorted(len(list(open_source(path))) for path in (tmp_path / "rec").glob("a-*.mp4")) == [15, 25]


def test_a_run_that_fails_in_an_unknown_way_begins_again_and_gives_no_id_twice() -> None:
    def find(frame: Frame) -> list[list[float]]:
        left = 5.0 if frame.source_id == "first" else 40.0
        return [[left, 10, left + 12, 40]]

    cameras, ids = Cameras(), dict[str, set[int]]()
    session = FakeSession(find=find)
    session.failing.add(3)
    first, second = endless(name="first"), endless(name="second", first=4)
    cameras.answers = {"a": [first, second]}

    def take(_: CameraSite, result: Result) -> None:
        ids.setdefault(result.frame.source_id, set()).update(result.tracks.ids.tolist())

    with (
        Pipeline.from_session(session) as pipeline,
        Server(site("a"), InProcess(pipeline, open_source=cameras, take=take)) as server,
    ):
        for _ in range(3):
            before = status(server, "a").results
            first.feed(1)
            assert soon(lambda before=before: status(server, "a").results > before)  # type: ignore[misc]
        first.feed(1)
        assert soon(lambda: status(server, "a").why == "unexpected RuntimeError: the device is gone")
        for _ in range(3):
            before = status(server, "a").results
            second.feed(1)
            assert soon(lambda before=before: status(server, "a").results > before)  # type: ignore[misc]
    assert ids["first"] == {1}
    assert ids["second"] - ids["first"] == {2}


def test_how_a_limit_of_the_latency_is_kept_is_told() -> None:
    session, source, cameras = FakeSession(held=True), endless(), Cameras()
    cameras.answers = {"a": [source]}
    camera = CameraSite(name="a", source="rtsp://a", max_latency_s=0.01)
    with (
        Pipeline.from_session(session) as pipeline,
        Server(Site(cameras=(camera,)), InProcess(pipeline, open_source=cameras)) as server,
    ):
        source.feed(1)
        assert soon(lambda: session.pending == 1)
        since_s = time.monotonic()
        assert soon(lambda: time.monotonic() - since_s > 0.01)
        session.finish()
        assert soon(is_in(server, "a", State.LIVE))
        contract = status(server, "a").contract
        assert contract is not None and contract.age_s is not None
        assert (contract.step, contract.name, contract.limit_s) == (1, "every 2nd frame", 0.01)
        assert contract.age_s > 0.01
        session.let_go()


@pytest.mark.parametrize("is_first", [True, False])
def test_an_opening_that_hangs_is_left_behind(is_first: bool) -> None:
    returns, late, cameras = threading.Event(), endless(), Cameras()
    broken, good = FakeSource(1, live=True, fails=SourceEnded("the stream ended")), endless()
    before = [] if is_first else [broken]
    cameras.answers = {"a": [*before, late, good]}

    def open_source(camera: CameraSite) -> FakeSource:
        source = cameras(camera)
        if source is late:
            returns.wait()
        return source

    with (
        Pipeline.from_session(FakeSession()) as pipeline,
        Server(site("a"), InProcess(pipeline, open_source=open_source)) as server,
    ):
        assert soon(lambda: len(cameras.opened) == len(before) + 1)
        watch = server.watch("a")
        assert watch is not None
        assert not watch.release_if_stuck(time.monotonic())
        assert soon(lambda: watch.release_if_stuck(time.monotonic() + local.STUCK_S + 1))
        good.feed(3)
        assert soon(lambda: len(cameras.opened) == len(before) + 2)
        assert soon(is_in(server, "a", State.LIVE))
        assert status(server, "a").abandoned == 1
        returns.set()
        assert soon(lambda: late.closed)


def test_a_server_ends_while_a_camera_is_opened(pipeline: Pipeline) -> None:
    returns, opening = threading.Event(), threading.Event()

    def open_source(_: CameraSite) -> FakeSource:
        opening.set()
        returns.wait()
        return endless()

    server = Server(site("a"), InProcess(pipeline, open_source=open_source))
    assert opening.wait(20)
    assert server.close(20) == 0
    assert status(server, "a").abandoned == 0
    returns.set()


def test_damaged_frames_are_counted_over_all_runs(pipeline: Pipeline) -> None:
    """The receiver fails after the first frame, so that a second run begins."""
    cameras, first, second = Cameras(), endless(), endless()
    first.damaged, second.damaged = 2, 1  # type: ignore[attr-defined]
    cameras.answers = {"a": [first, second]}
    fails = iter([True])

    def take(camera: CameraSite, result: Result) -> None:
        if next(fails, False):
            raise SourceEnded("the receiver failed")

    with Server(site("a"), InProcess(pipeline, take=take, open_source=cameras)) as server:
        first.feed(1)
        assert soon(lambda: status(server, "a").damaged == 3)
