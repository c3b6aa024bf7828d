"""Stages: order, errors, drain, cancel, drops, and that no thread outlives the block."""

import itertools
import threading
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.channel import Cancelled, Channel
from streamdet.stages import Stages


@pytest.fixture(autouse=True)
def no_thread_survives() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def failing_at(items: Iterable[int], position: int | None, error: type[Exception]) -> Iterator[int]:
    for item in items:
        if item == position:
            raise error(f"at {item}")
        yield item


def test_items_come_in_order_through_several_stages() -> None:
    with Stages() as stages:
        numbers = stages.spawn(range(500), name="numbers", depth=4)
        tens = stages.spawn((10 * n for n in numbers), name="tens", depth=2)
        assert list(tens) == [10 * n for n in range(500)]


def test_an_error_arrives_as_itself_after_the_items_ahead_of_it() -> None:
    raised = OSError("decode")

    def source() -> Iterator[int]:
        yield from range(5)
        raise raised

    received: list[int] = []
    with Stages() as stages:
        numbers = stages.spawn(source(), name="source", depth=50)
        doubled = stages.spawn((2 * n for n in numbers), name="double", depth=50)
        with pytest.raises(OSError, match="decode") as caught:
            received.extend(doubled)
    assert received == [0, 2, 4, 6, 8]
    assert caught.value is raised


positions = st.none() | st.integers(0, 59)


@given(source=positions, stage=positions, reader=positions, stop=positions, depth=st.integers(1, 5))
def test_whatever_fails_first_all_threads_end_and_what_came_is_a_prefix(
    source: int | None, stage: int | None, reader: int | None, stop: int | None, depth: int
) -> None:
    received: list[int] = []
    error: Exception | None = None
    try:
        with Stages() as stages:
            numbers = stages.spawn(failing_at(range(60), source, OSError), name="source", depth=depth)
            passed = stages.spawn(failing_at(numbers, stage, RuntimeError), name="stage", depth=depth)
            for number in failing_at(passed, reader, ValueError):
                if number == stop:
                    break
                received.append(number)
    except (OSError, RuntimeError, ValueError) as raised:
        error = raised
    ends = [position for position in (source, stage, reader, stop) if position is not None]
    assert received == list(range(min(ends, default=60)))
    if ends and (error is not None):
        assert str(error) == f"at {min(ends)}"


def test_stop_drains_what_was_produced_and_ends_the_source() -> None:
    produced = []

    def endless() -> Iterator[int]:
        for number in itertools.count():
            produced.append(number)
            yield number

    with Stages() as stages:
        numbers = stages.spawn(endless(), name="source", depth=4)
        doubled = stages.spawn((2 * n for n in numbers), name="double", depth=2)
        received = [next(doubled)]
        stages.stop()
        received += list(doubled)
    assert received == [2 * n for n in produced]


def test_stop_does_not_wait_for_a_source_that_never_answers() -> None:
    answer = threading.Event()

    def silent() -> Iterator[int]:
        yield 1
        answer.wait()

    with Stages() as stages:
        numbers = stages.spawn(silent(), name="source", depth=4)
        assert next(numbers) == 1
        stages.stop()
        assert list(numbers) == []
        answer.set()


def test_cancel_discards_and_wakes_both_sides() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    refused = threading.Event()

    def put_into_full_channel() -> None:
        with pytest.raises(Cancelled):
            channel.put(2)
        refused.set()

    blocked = threading.Thread(target=put_into_full_channel)
    blocked.start()
    channel.cancel()
    blocked.join()
    assert refused.is_set()
    with pytest.raises(Cancelled):
        next(channel)


def test_drop_oldest_keeps_the_newest_and_counts() -> None:
    channel: Channel[int] = Channel(2, drop_oldest=True)
    for number in range(10):
        channel.put(number)
    channel.end()
    assert list(channel) == [8, 9]
    assert channel.dropped == 8


def test_ready_tells_whether_a_read_would_wait() -> None:
    channel: Channel[int] = Channel(2)
    assert not channel.ready()
    channel.put(1)
    assert channel.ready()
    next(channel)
    assert not channel.ready()
    channel.end()
    assert channel.ready()


def test_generators_are_closed_in_the_thread_that_ran_them() -> None:
    closed_in = []

    def source() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed_in.append(threading.current_thread().name)

    with Stages() as stages:
        assert next(stages.spawn(source(), name="source", depth=1)) == 0
    assert closed_in == ["source"]


def test_busy_time_is_charged_to_the_stage_that_worked() -> None:
    gate = threading.Event()

    def worker(numbers: Iterable[int]) -> Iterator[int]:
        for number in numbers:
            gate.wait(0.05)  # stands for work: it is no channel, so it counts as busy
            yield number

    with Stages() as stages:
        numbers = stages.spawn(range(4), name="source", depth=1)
        worked = stages.spawn(worker(numbers), name="worker", depth=1)
        assert len(list(stages.timed(worked, name="reader"))) == 4
    source, work, reader = stages.times
    assert [stage.items for stage in stages.times] == [4, 4, 4]
    assert work.busy_s >= 4 * 0.05 * 0.9
    assert work.busy_s > 5 * (source.busy_s + reader.busy_s)
