"""Faults of many runs: what hung, starved, was lost or leaked, and does not any more."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.options import DetectOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from streamdet.scheduler.lane import Lane, LaneOptions, QueuedFrame
from streamdet.scheduler.latency import Detect, Load, Skip
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.threads import Channel, Pool, Stage
from streamdet.types import Frame, UInt8Array
from tests.pipeline.fakes import PATIENCE_S, FakeClock, FakeSession, FakeSource, grey_frame, soon, write_clip

run_module: Any = import_module("streamdet.pipeline.run")  # what it imports is replaced in tests

ROOT = Path(__file__).resolve().parents[2]


class Reader:
    """Reads in a thread of its own until the end or an error."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.read: list[Any] = []
        self.error: BaseException | None = None
        self._items = items
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            for item in self._items:
                self.read.append(item)
        except BaseException as error:
            self.error = error


class Chosen:
    """Decides by a function of the frame's index."""

    def __init__(self, decide: Callable[[int], Detect | Skip], sizes: tuple[int, ...] = ()) -> None:
        self.sizes, self._decide = sizes, decide

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        return self._decide(frame.index)


class Reading:
    """A lane with its reader."""

    def __init__(self, scheduler: Scheduler, session: FakeSession, **options: Any) -> None:
        self.frames: Channel[QueuedFrame] = Channel(left=lambda: self.lane.release())
        self.lane: Lane = scheduler.lane(
            Detector.from_session(session, DetectOptions()), self.frames, LaneOptions(**{"live": False, **options})
        )


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    yield scheduler
    scheduler.close(time.monotonic() + 0.5)


@pytest.fixture
def opening(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let `open_source` of "blocks.mp4" return when the event is set."""
    answer, open_source = threading.Event(), run_module.open_source

    def opened(spec: Any, **options: Any) -> Any:
        if str(spec) != "blocks.mp4":
            return open_source(spec, **options)
        answer.wait()
        return FakeSource(3, name="blocks.mp4")

    monkeypatch.setattr(run_module, "open_source", opened)
    yield answer
    answer.set()


# 1. Lost results: a stage that goes idle ends when an item arrives at that moment.


def test_an_item_that_arrives_while_a_stage_goes_idle_does_not_end_it() -> None:
    class Lock:
        """Puts an item at the moment at which the stage has given up its lock, idle."""

        def __init__(self) -> None:
            self._lock = threading.RLock()
            self.armed = True

        def __enter__(self) -> None:
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            went_idle = self.armed and stage.time.items == 1 and not stage._scheduled
            self._lock.release()
            if went_idle:
                self.armed = False
                stage.put(2)

    pool = Pool(1)
    results: Channel[int] = Channel()
    stage: Stage[int, int] = Stage(pool, "work", int, results)
    stage._lock = Lock()  # type: ignore[assignment]
    stage.put(1)
    assert next(results) == 1
    assert soon(lambda: not stage._lock.armed)  # type: ignore[attr-defined]
    stage.end()
    assert list(results) == [2]
    pool.close(time.monotonic() + 1)


# 2. Deadlock: slots that a waiting frame needs are let go.


def test_pictures_of_many_sizes_all_come_out_for_a_reader_that_pauses() -> None:
    sizes = [32 * (number + 1) for number in range(20)]

    def picture(index: int) -> UInt8Array:
        return np.full((sizes[index], 640, 3), index, np.uint8)

    session = FakeSession()
    with Pipeline.from_session(session) as pipeline, pipeline.run(FakeSource(20, image=picture)) as run:
        run.start()
        # Six results wait to be read, two pictures behind them, and the decoder has prepared one more.
        assert soon(lambda: run.stats.stages[0].items == 9 and session.log.count("make 288x640") == 1)
        reader = Reader(run)
        assert soon(lambda: reader.ended), f"hangs after {len(reader.read)} of 20"
        assert [result.frame.index for result in reader.read] == list(range(20))


# 3. Deadlock: a run's lock is held while its source is being opened.


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


# 4. Starvation in the pool, and of runs at the device.


def test_a_stage_that_always_has_work_leaves_the_pool_to_others() -> None:
    pool, begun, seen = Pool(1), threading.Event(), list[int]()
    results: Channel[Any] = Channel()

    def endless(number: int) -> int:
        begun.wait()
        if number < 1000:
            busy.put(number + 1)
        return number

    busy: Stage[int, int] = Stage(pool, "busy", endless, results)
    other: Stage[int, None] = Stage(pool, "other", lambda _: seen.append(busy.time.items), results)
    busy.put(0)
    other.put(0)
    begun.set()
    assert soon(lambda: bool(seen))
    assert seen[0] < 100, f"the other one had to wait for {seen[0]} items"
    pool.close(time.monotonic() + 1)


@pytest.mark.parametrize("live", [True, False], ids=["a camera that sends little", "a file that is not read yet"])
def test_a_new_file_shares_with_the_others_whoever_else_is_idle(scheduler: Scheduler, live: bool) -> None:
    session = FakeSession(held=True)
    idle = Reading(scheduler, FakeSession(), live=live)
    early = Reading(scheduler, session, depth=200, credits=200)
    for index in range(100):
        early.lane.put(grey_frame(index))
    for _ in range(40):
        session.finish()
    assert soon(lambda: session.pending == 2)
    late, begin = Reading(scheduler, session, depth=200, credits=200), len(session.batches)
    for index in range(100):
        late.lane.put(grey_frame(100 + index % 100))
    for _ in range(30):
        session.finish()
    shares = [level >= 100 for (level,) in session.batches[begin : begin + 20]]
    idle.lane.cancel()
    early.lane.cancel()
    late.lane.cancel()
    session.let_go()
    assert 8 <= sum(shares) <= 12


def test_a_file_whose_reader_paused_does_not_take_the_device_for_itself(scheduler: Scheduler) -> None:
    session = FakeSession(held=True)
    paused = Reading(scheduler, session, depth=200, credits=1)
    other = Reading(scheduler, session, depth=200, credits=200)
    for index in range(100):
        paused.lane.put(grey_frame(100 + index % 100))
        other.lane.put(grey_frame(index))
    for _ in range(40):
        session.finish()
    assert soon(lambda: session.pending == 2)
    begin = len(session.batches)
    for _ in range(100):
        paused.lane.release()
    for _ in range(30):
        session.finish()
    shares = [level >= 100 for (level,) in session.batches[begin : begin + 20]]
    paused.lane.cancel()
    other.lane.cancel()
    session.let_go()
    assert 8 <= sum(shares) <= 12


def test_each_of_two_cameras_in_step_gets_its_share_of_a_device_that_is_too_slow(scheduler: Scheduler) -> None:
    """Both send a frame for each that is computed, one always a little before the other."""
    session = FakeSession(held=True, slots=1)
    first, second = (Reading(scheduler, session, live=True, depth=1, credits=100) for _ in range(2))
    for index in range(20):
        first.lane.put(grey_frame(index))
        second.lane.put(grey_frame(100 + index))
        session.finish()
        assert soon(lambda n=index: len(session.batches) >= n + 2)  # type: ignore[misc]
    served = [level >= 100 for (level,) in session.batches[:20]]
    first.lane.cancel()
    second.lane.cancel()
    session.let_go()
    assert 5 <= sum(served) <= 15


# 5. A live run that predicts and is not read keeps its oldest results.


def test_a_live_reader_that_pauses_finds_new_results_where_frames_are_predicted() -> None:
    camera = FakeSource(live=True, ended=False)
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(camera, every="auto") as run:
        run.start()
        for number in range(40):
            camera.feed()
            assert soon(lambda n=number: run.stats.stages[0].items == n + 1)  # type: ignore[misc]
            soon_s = time.monotonic() + 0.02
            while time.monotonic() < soon_s and run.stats.detected < number + 1:
                time.sleep(0.001)
        assert next(run).frame.index >= 20


def test_frames_of_a_live_run_do_not_grow_old_before_a_slow_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing holds the first frame while twenty come: of those that go on after it, few are old."""
    import streamdet.pipeline.line as line_module

    gate, drawn, begun = threading.Event(), list[int](), threading.Event()

    def slow(result: Result) -> Result:
        begun.set()
        gate.wait()
        drawn.append(result.frame.index)
        return result

    monkeypatch.setattr(line_module, "with_drawing", slow)
    camera = FakeSource(live=True, ended=False)
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(camera, draw=True) as run:
        run.start()
        camera.feed()
        assert begun.wait(PATIENCE_S)
        for number in range(1, 21):
            camera.feed()
            assert soon(lambda n=number: run.stats.detected + run.stats.dropped >= n)  # type: ignore[misc]
        gate.set()
        assert soon(lambda: 20 in drawn)
    assert sum(index < 16 for index in drawn[1:]) <= 3


# 6. Slots and threads that come back late.


def test_slots_that_are_made_while_the_pipeline_closes_are_closed() -> None:
    session = FakeSession()
    pipeline = Pipeline.from_session(session)
    run = pipeline.run(FakeSource(3))
    with session.making:
        run.start()
        assert soon(lambda: pipeline._scheduler._making.locked())
        pipeline.close(timeout_s=0.05)
        assert not session.closed, "the session was closed while slots were being made"
    assert soon(lambda: session.log.count("make 480x640") == 1)
    assert soon(lambda: session.log.count("close") == 2)


def test_a_frame_that_comes_after_the_pipeline_was_closed_makes_no_slots() -> None:
    answer = threading.Event()

    class Late(FakeSource):
        """Answers its only read late, with a frame."""

        def __next__(self) -> Frame:
            if self.read:
                raise StopIteration
            self.read += 1
            answer.wait()
            return grey_frame(0)

    session, source = FakeSession(), Late()
    pipeline = Pipeline.from_session(session)
    run = pipeline.run(source)
    run.start()
    assert soon(lambda: source.read == 1)
    pipeline.close(timeout_s=0.05)
    answer.set()
    assert soon(lambda: source.closed)
    assert session.closed
    assert session.log == []


def test_a_slot_that_cannot_be_closed_does_not_end_the_device_for_all() -> None:
    class Stubborn(FakeSession):
        def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Any]:
            slots: list[Any] = super().new_slots(input_hw, batch)
            for slot in slots:
                slot.close = lambda: 1 / 0
            return slots

    scheduler, broken = Scheduler(), Stubborn(held=True)
    reading = Reading(scheduler, broken)
    reading.lane.put(grey_frame(0))
    assert soon(lambda: broken.pending == 1)
    reading.lane.put(grey_frame(1))
    assert soon(lambda: broken.pending == 2)
    reading.lane.cancel()
    scheduler.release(broken)
    broken.let_go()
    good = Reading(scheduler, FakeSession())
    assert soon(lambda: not scheduler._in_flight)
    good.lane.put(grey_frame(0))
    good.lane.end()
    reader = Reader(good.frames)
    assert soon(lambda: reader.ended)
    scheduler.close(time.monotonic() + 0.5)


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


def test_a_forked_child_gets_a_scheduler_of_its_own() -> None:
    script = """
import os, time, threading, sys
from streamdet.scheduler import shared
parent = shared.acquire("cpu")
child = os.fork()
if child == 0:
    mine = shared.acquire("cpu")
    os._exit(0 if mine._thread.is_alive() else 3)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, timeout=20, check=False).returncode == 0


def test_a_run_keeps_its_pipeline() -> None:
    """Else the end of the process does not close what nobody else refers to."""
    from streamdet.pipeline import pipeline as module

    run = Pipeline.from_session(FakeSession()).run(FakeSource(3, ended=False))
    next(run)
    gc.collect()
    open_runs = [each for pipeline in module._open for each in pipeline._runs]
    try:
        assert run in open_runs
    finally:
        run.close()


# 7. Memory over many runs.


def living_runs() -> int:
    gc.collect()
    return sum(type(each) is Run for each in gc.get_objects())


def test_runs_that_could_not_be_opened_are_not_kept() -> None:
    before = living_runs()
    with Pipeline.from_session(FakeSession()) as pipeline:
        for _ in range(20):
            with pytest.raises(InputError):
                pipeline.run("nothing.mp4")
        assert living_runs() - before <= 2


def test_runs_that_were_closed_before_they_began_are_not_kept() -> None:
    before = living_runs()
    with Pipeline.from_session(FakeSession()) as pipeline:
        for _ in range(20):
            with pipeline.run(FakeSource(3)) as run:
                assert run.source.info.frame_count == 3
        del run
        assert living_runs() - before <= 2


def test_a_camera_that_cannot_be_opened_is_named_without_its_password() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        (run,) = pipeline.runs("gopher://me:secret@camera/1").all
        assert run.source_id == "gopher://camera/1"


# 8. The second pass.


def test_a_source_that_cannot_be_read_again_is_refused_and_not_silently_empty() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        try:
            run = pipeline.run(FakeSource(20), refine=True)
        except InputError:
            return
        assert len(list(run)) == 20


def test_looking_at_the_source_in_the_second_pass_does_not_stop_it(tmp_path: Path) -> None:
    session = FakeSession(held=True)
    with (
        Pipeline.from_session(session) as pipeline,
        pipeline.run(write_clip(tmp_path / "clip.mp4", 60), refine=True) as run,
    ):
        run.start()
        for _ in range(40):
            session.finish()
        run.stop()
        session.let_go()
        first = next(run)
        assert run.source.info.width == 64
        rest = list(run)
    assert first.frame.index == 0
    assert len(rest) + 1 >= 40


def test_a_stop_between_the_passes_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    between, go_on, open_source = threading.Event(), threading.Event(), run_module.open_source
    opened: list[Any] = []

    def opening(spec: Any, **options: Any) -> Any:
        if opened:
            between.set()
            go_on.wait()
        opened.append(open_source(spec, **options))
        return opened[-1]

    monkeypatch.setattr(run_module, "open_source", opening)
    clip = write_clip(tmp_path / "clip.mp4", 60)
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(clip, refine=True) as run:
        run.start()
        assert between.wait(PATIENCE_S)
        run.stop()
        go_on.set()
        assert len(list(run)) < 60


# 9. Policies.


def test_what_is_ahead_of_a_policy_that_fails_comes_before_its_error(scheduler: Scheduler) -> None:
    session, asked = FakeSession(held=True), threading.Event()

    def decide(index: int) -> Detect:
        if index < 2:
            return Detect()
        asked.set()
        raise ZeroDivisionError

    reading = Reading(scheduler, session, policy=Chosen(decide))
    for index in range(3):
        reading.lane.put(grey_frame(index))
    assert soon(lambda: session.pending == 2)
    session.finish(1)
    assert asked.wait(PATIENCE_S)
    session.let_go()
    reader = Reader(reading.frames)
    assert soon(lambda: reader.ended)
    assert isinstance(reader.error, ZeroDivisionError)
    assert [queued.frame.index for queued in reader.read] == [0, 1]


def test_images_of_two_sizes_do_not_share_a_batch() -> None:
    sizes: list[set[tuple[int, int]]] = []

    class Watching(FakeSession):
        def submitted(self, slot: Any, levels: list[int]) -> None:
            sizes.append({request.letterbox.input_hw for request in slot._requests})
            super().submitted(slot, levels)

    clock = FakeClock()
    scheduler, session = Scheduler(clock), Watching()
    policy = Chosen(lambda index: Detect(320 if index == 1 else None), sizes=(320,))
    reading = Reading(scheduler, session, policy=policy, batch=2, wait_s=10.0)
    reading.lane.put(grey_frame(0))
    reading.lane.put(grey_frame(1))
    reading.lane.end()
    assert soon(lambda: bool(sizes) or bool(clock.waiting))
    clock.advance(20)
    assert soon(lambda: sum(len(each) for each in session.batches) == 2)
    scheduler.close(time.monotonic() + 1)
    assert sizes == [{(480, 640)}, {(256, 320)}]


# 10. Several runs.


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
    calls, locate = list[Any](), run_module.locate

    def counted(spec: Any) -> Any:
        calls.append(spec)
        return locate(spec)

    monkeypatch.setattr(run_module, "locate", counted)
    (tmp_path / "waits.mp4").touch()
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(FakeSource(50), *[tmp_path / "waits.mp4"] * 10, at_once=1)
        for _ in range(50):
            next(runs)
        assert len(calls) <= 20


def test_a_file_that_does_not_answer_does_not_keep_the_results_of_another() -> None:
    source = FakeSource(3, hangs=True)
    with Pipeline.from_session(FakeSession()) as pipeline:
        reader = Reader(pipeline.runs(source, FakeSource(40)))
        try:
            assert soon(lambda: len(reader.read) == 43), f"{len(reader.read)} of 43"
        finally:
            source.answer.set()


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


# 11. The command line and the demo.


def test_the_bar_of_a_file_that_has_ended_is_taken_away(tmp_path: Path) -> None:
    from streamdet.cli.track import _write

    class Job:
        error = None

        def __init__(self, run: Run) -> None:
            self.run = run

        def write(self, result: Result, folder: Path) -> None:
            if self.run is short and result.frame.index == 2:
                assert soon(lambda: short.idle and short.ready())
                removed.clear()  # the bar may go only now

    removed: list[Run] = []
    progress: Any = SimpleNamespace(add=lambda run: None, remove=removed.append)
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(FakeSource(3), FakeSource(30))
        short = runs.all[0]
        jobs: Any = {run: Job(run) for run in runs.all}
        _write(runs, jobs, tmp_path, progress)
    assert short in removed


def test_a_page_that_came_back_may_leave_before_its_first_connection_is_given_up() -> None:
    from demo.webcam import Webcams

    webcams = Webcams(None)  # type: ignore[arg-type]
    first, second = webcams._opened("page"), webcams._opened("page")
    first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    first.__exit__(None, None, None)
