"""The schedulers of a process: one for each device, shared by all who compute there."""

from __future__ import annotations

import os
import threading

from streamdet.scheduler.scheduler import Scheduler

_shared: dict[str, tuple[Scheduler, int]] = {}
_sharing = threading.Lock()


def acquire(device: str) -> Scheduler:
    """Return the scheduler of `device` in this process; each call is followed by one of `give_back`."""
    with _sharing:
        scheduler, users = _shared.get(device) or (Scheduler(), 0)
        _shared[device] = scheduler, users + 1
        return scheduler


def give_back(device: str, deadline_s: float) -> int:
    """End the scheduler of `device` with its last user; return how many of its threads have not ended by then."""
    with _sharing:
        scheduler, users = _shared.pop(device)
        if users > 1:
            _shared[device] = scheduler, users - 1
            return 0
    return scheduler.close(deadline_s)


def _forget() -> None:
    """Leave the schedulers of a process to it: in a forked child their threads are not there."""
    global _sharing
    _sharing = threading.Lock()
    _shared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
