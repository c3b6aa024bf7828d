"""The schedulers of a process: one for each device, shared by all pipelines and detectors that use the device."""

from __future__ import annotations

import os
import threading

from streamdet.scheduler.scheduler import Scheduler

_shared: dict[str, tuple[Scheduler, int]] = {}
_sharing = threading.Lock()


def acquire(device: str) -> Scheduler:
    """Return the scheduler of `device` in this process; every call must be paired with one of `release`."""
    with _sharing:
        scheduler, users = _shared.get(device) or (Scheduler(), 0)
        _shared[device] = scheduler, users + 1
        return scheduler


def release(device: str, deadline_s: float) -> int:
    """End one use of the scheduler of `device`, and close it after the last one.

    Return how many of its threads have not ended by `deadline_s` of ``time.monotonic()``, 0 while others use it.
    """
    with _sharing:
        scheduler, users = _shared.pop(device)
        if users > 1:
            _shared[device] = scheduler, users - 1
            return 0
    return scheduler.close(deadline_s)


class OwnProcess:
    """The process in which it was made, whose threads do not exist in a forked child."""

    def __init__(self) -> None:
        self._id = os.getpid()

    def __bool__(self) -> bool:
        return os.getpid() == self._id

    def require(self) -> None:
        """Raise ValueError in a forked child, which would wait for the threads for ever."""
        if not self:
            raise ValueError(
                "expected a model that was loaded in this process, found one of the process that forked this one: "
                "load it in the child, or start children with multiprocessing's method 'spawn'"
            )


def _forget() -> None:
    """Forget the schedulers of the parent in a forked child, where their threads do not exist."""
    global _sharing
    _sharing = threading.Lock()
    _shared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
