"""What sessions that compute on the host share: slots that are threads, and the end of these threads.

A run fits frames in a thread of its own; each slot computes one image with its share of the cores. Two images side by
side keep all cores busier than one image spread over them, whose layers are too small to split evenly.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np

from streamdet.errors import StreamdetError
from streamdet.inference.session import Found, ModelCard, Output, Outputs, Request
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.machine import images_in_flight
from streamdet.types import Float32Array, Frame, ToDevice, UInt8Array

LONGEST_WAIT_S = 2.0  # for calls that are under way when a worker is closed, and when the process ends

# Starts to compute a staged image uint8 (h, w, 3), and returns a function that waits for what is found in it, in memory
# of its own.
Start = Callable[[UInt8Array], Callable[[], Output]]


def reading(card: ModelCard) -> Callable[[Sequence[Float32Array]], Outputs]:
    """Return the function that makes the output of a batch from what a runtime gives for a model with this `card`."""
    return _rows_and_prototypes if card.layout == "prototypes" else _first


def _first(arrays: Sequence[Float32Array]) -> Float32Array:
    return arrays[0]


def _rows_and_prototypes(arrays: Sequence[Float32Array]) -> list[Found]:
    return [Found(*image) for image in zip(*arrays, strict=True)]


def one_by_one(compute: Callable[[UInt8Array], Outputs], images: UInt8Array) -> Outputs:
    """Return the output of a batch of `images` from a model that takes one image at a time."""
    found = [compute(image[None])[0] for image in images]
    return found if isinstance(found[0], Found) else np.stack(found)


class HostSession:
    """Base class of sessions whose slots are threads; see `streamdet.inference.session.Session`."""

    device = "cpu"
    selects = False

    def __init__(self) -> None:
        self.parallel = images_in_flight()

    @property
    def to_device(self) -> ToDevice | None:
        """None: pictures stay where they were decoded."""
        return None

    def stage(self, frame: Frame, letterbox: Letterbox) -> Any:
        """Return the image of `frame`, fitted into a canvas uint8 (h, w, 3)."""
        return letterboxed(frame.image, letterbox)

    def close(self) -> None:
        """Release what was made of the model."""


class ThreadSlot:
    """One image in flight: `start` starts it, and a thread, which has called `prepare` once, waits for its rows."""

    def __init__(self, start: Start, prepare: Callable[[], None] = lambda: None) -> None:
        self._start = start
        self._outcomes: SimpleQueue[list[Output] | BaseException] = SimpleQueue()
        self._worker = Worker("slot")
        self._worker.call(prepare)

    def submit(self, requests: Sequence[Request], done: Callable[[], None]) -> None:
        """Start on a batch of one; see `Slot`."""
        (request,) = requests
        if not self._worker.call(partial(self._finish, self._started(request.staged), done)):
            self._outcomes.put(StreamdetError("expected a slot that computes, found one that was closed"))
            done()

    def collect(self) -> list[Output]:
        """Wait for the thread; see `Slot`."""
        outcome = self._outcomes.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the thread after the image that it is busy with."""
        self._worker.close()

    def _started(self, image: UInt8Array) -> Callable[[], Output]:
        """Start on `image`; return the function that waits for its output, or raises the error of the start."""
        try:
            return self._start(image)
        except Exception as error:
            return partial(_raise, error)

    def _finish(self, finish: Callable[[], Output], done: Callable[[], None]) -> None:
        try:
            self._outcomes.put([finish()])
        except BaseException as error:  # of any kind: `collect` raises it
            self._outcomes.put(error)
        done()


def _raise(error: Exception) -> Output:
    raise error


class Worker:
    """A daemon thread that calls the functions that it is given, one after the other, until it is closed.

    While it shuts down, the interpreter ends daemon threads that call back into it; inside the C++ code of a runtime
    that aborts the process. So all workers are ended first, with a wait of at most `LONGEST_WAIT_S` for their calls.
    """

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._ended, self._changing = False, threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        _workers.add(self)
        self._thread.start()

    def call(self, work: Callable[[], None]) -> bool:
        """Queue `work` for the thread; returns False, without queuing it, when the worker was closed."""
        with self._changing:
            if not self._ended:
                self._work.put(work)
            return not self._ended

    def close(self) -> None:
        """End the thread after all queued calls; waits `LONGEST_WAIT_S` at most."""
        self.end()
        self.join(LONGEST_WAIT_S)

    def end(self) -> None:
        """Let the thread end after all queued calls; returns at once."""
        with self._changing:
            self._ended = True
            self._work.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, `timeout_s` at most."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # else it is kept alive, with all that it refers to, until the next call


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    deadline_s = time.monotonic() + LONGEST_WAIT_S
    workers = list(_workers)
    for worker in workers:
        worker.end()
    for worker in workers:
        worker.join(max(0.0, deadline_s - time.monotonic()))
