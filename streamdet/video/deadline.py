"""A limit for calls that FFmpeg's own timeouts do not end, such as the look-up of a host that is not answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Protocol, TypeVar

MOST_HANGING = 3  # calls for one name that are waited for no more, but have not returned


class _Closeable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closeable)
_hanging: dict[str, list[threading.Thread]] = {}
_changing = threading.Lock()


def opened_within(deadline_s: float, name: str, opening: Callable[[], T]) -> T:
    """Return what `opening` returns; raises as it does, and TimeoutError when it takes longer than `deadline_s`.

    It is then left behind in its thread, and what it opens later is closed. While `MOST_HANGING` such calls for `name`
    have not returned, no further one is begun, and TimeoutError is raised at once.
    """
    if hanging_calls(name) >= MOST_HANGING:
        raise TimeoutError(f"{MOST_HANGING} earlier calls have not returned")
    future: Future[T] = Future()
    thread = threading.Thread(target=_open, args=(opening, future), name="open", daemon=True)
    thread.start()
    wait([future], deadline_s)
    if not future.cancel():
        return future.result()
    with _changing:
        _hanging.setdefault(name, []).append(thread)
    raise TimeoutError(f"a call has not returned within {deadline_s:g} s")


def hanging_calls(name: str) -> int:
    """Return how many calls for `name` were left behind and have not returned."""
    with _changing:
        left = [each for each in _hanging.pop(name, []) if each.is_alive()]
        if left:
            _hanging[name] = left
        return len(left)


def _open(opening: Callable[[], T], future: Future[T]) -> None:
    try:
        opened = opening()
    except BaseException as error:  # raised to who waits
        if future.set_running_or_notify_cancel():
            future.set_exception(error)
    else:
        if future.set_running_or_notify_cancel():
            future.set_result(opened)
        else:
            opened.close()
