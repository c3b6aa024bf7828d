"""Channels, stages and the pool: order, errors, cancelling, drops, and that nothing waits for a task that hangs."""

import itertools
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scheduler.threads import Channel, Pool, Stage
from tests.pipeline.fakes import soon


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(3)
    yield pool
    assert pool.close(time.monotonic() + 5) == 0


def failing_at(position: int | None, error: type[Exception], item: int) -> int:
    if item == position:
        raise error(f"at {item}")
    return item


def test_items_come_in_order_through_several_stages(pool: Pool) -> None:
    results: Channel[int] = Channel()
    tens: Stage[int, int] = Stage(pool, "tens", lambda n: 10 * n, results)
    plus: Stage[int, int] = Stage(pool, "plus", lambda n: n + 1, tens)
    for number in range(500):
        plus.put(number)
    plus.end()
    assert list(results) == [10 * (n + 1) for n in range(500)]
    assert (plus.time.items, tens.time.items) == (500, 500)


positions = st.none() | st.integers(0, 59)


@given(first=positions, second=positions, source=positions)
def test_the_reader_gets_what_was_ahead_of_the_first_failure_and_then_that(
    first: int | None, second: int | None, source: int | None
) -> None:
    pool, finished = Pool(3), list[str]()
    results: Channel[int] = Channel()
    behind = Stage(pool, "b", partial(failing_at, second, RuntimeError), results, partial(finished.append, "b"))
    ahead = Stage(pool, "a", partial(failing_at, first, OSError), behind, partial(finished.append, "a"))
    for number in range(60 if source is None else source):
        ahead.put(number)
    ahead.end(None if source is None else ValueError(f"at {source}"))
    received: list[int] = []
    error: Exception | None = None
    try:
        received.extend(results)
    except (OSError, RuntimeError, ValueError) as raised:
        error = raised
    ends = [position for position in (first, second, source) if position is not None]
    assert received == list(range(min(ends, default=60)))
    assert (str(error) if error else None) == (f"at {min(ends)}" if ends else None)
    assert ahead.join(time.monotonic() + 5) and behind.join(time.monotonic() + 5)
    assert sorted(finished) == ["a", "b"]
    assert pool.close(time.monotonic() + 5) == 0


def test_a_stage_works_on_one_item_at_a_time_whatever_the_pool_has_to_do(pool: Pool) -> None:
    inside, most = itertools.count(), list[int]()
    lock = threading.Lock()

    def work(item: int) -> int:
        assert lock.acquire(blocking=False), "two items at once"
        most.append(next(inside))
        lock.release()
        return item

    results: Channel[int] = Channel()
    stage = Stage(pool, "work", work, results)

    def feed() -> None:
        for number in range(200):
            stage.put(number)

    feeders = [threading.Thread(target=feed) for _ in range(4)]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join()
    stage.end()
    assert len(list(results)) == 800


def test_what_finishing_a_stage_raises_arrives_as_its_end(pool: Pool) -> None:
    def refuse() -> None:
        raise OSError("the disk is full")

    results: Channel[int] = Channel()
    stage: Stage[int, int] = Stage(pool, "save", int, results, finish=refuse)
    stage.put(1)
    stage.end()
    assert next(results) == 1
    with pytest.raises(OSError, match="the disk is full"):
        next(results)
    assert list(results) == []


def test_a_cancelled_stage_ends_after_the_item_at_hand(pool: Pool) -> None:
    begun, go_on, finished = threading.Event(), threading.Event(), list[bool]()

    def work(item: int) -> int:
        begun.set()
        go_on.wait()
        return item

    results: Channel[int] = Channel()
    stage = Stage(pool, "work", work, results, finish=lambda: finished.append(True))
    for number in range(5):
        stage.put(number)
    begun.wait()
    stage.cancel()
    stage.put(6)
    assert not stage.join(time.monotonic())
    go_on.set()
    assert stage.join(time.monotonic() + 5)
    assert list(results) == [0]
    assert finished == [True]


def test_a_task_that_never_returns_is_left_behind() -> None:
    pool, answer = Pool(2), threading.Event()
    pool.submit(answer.wait)  # type: ignore[arg-type]
    assert pool.close(time.monotonic() + 0.05) == 1
    answer.set()
    assert pool.close(time.monotonic() + 5) == 0


def test_busy_time_is_that_of_the_function(pool: Pool) -> None:
    gate = threading.Event()
    results: Channel[bool] = Channel()
    stage: Stage[int, bool] = Stage(pool, "wait", lambda _: gate.wait(0.05), results)
    for number in range(4):
        stage.put(number)
    stage.end()
    assert len(list(results)) == 4
    assert 4 * 0.05 * 0.9 <= stage.time.busy_s < 4


def test_the_newest_are_kept_and_every_item_that_leaves_is_told() -> None:
    left: list[int] = []
    channel: Channel[int] = Channel(2, left=lambda: left.append(1))
    for number in range(10):
        channel.put(number)
    assert (channel.dropped, len(left)) == (8, 8)
    channel.end()
    channel.put(10)
    assert list(channel) == [8, 9]
    assert len(left) == 10


def test_cancel_discards_and_ends_a_read_that_waits() -> None:
    channel: Channel[int] = Channel()
    read: list[list[int]] = []
    reader = threading.Thread(target=lambda: read.append(list(channel)))
    reader.start()
    channel.cancel()
    reader.join()
    channel.put(1)
    assert read == [[]]
    assert list(channel) == []


def test_ready_tells_whether_a_read_would_wait() -> None:
    channel: Channel[int] = Channel()
    assert not channel.ready()
    channel.put(1)
    assert channel.ready()
    next(channel)
    assert not channel.ready()
    channel.end()
    assert channel.ready()


def test_channels_that_share_a_condition_are_waited_for_together() -> None:
    changed = threading.Condition()
    one, other = (Channel[int](changed=changed) for _ in range(2))
    woken: list[bool] = []

    def wait() -> None:
        with changed:
            changed.wait_for(lambda: one.ready() or other.ready())
            woken.append(other.ready())

    waiting = threading.Thread(target=wait)
    waiting.start()
    other.put(1)
    waiting.join()
    assert woken == [True]
    assert soon(lambda: not waiting.is_alive())


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
