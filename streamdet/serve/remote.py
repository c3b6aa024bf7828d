"""Cameras that are watched in other processes, which are begun again when they die."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import replace
from itertools import count
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Self

from streamdet.errors import StreamdetError
from streamdet.options import ModelOptions
from streamdet.pipeline.camera import STABLE_S, wait_s
from streamdet.serve.events import Event
from streamdet.serve.options import CameraSite
from streamdet.serve.watch import State, Status, Tell
from streamdet.serve.worker import Answer, Begin, Call, End, Failed, News, Picture, Request, work

PICTURE_S = 2.0  # how long a picture is waited for
SILENT_S = 30.0  # a process that sends nothing for as long hangs
END_S = 5.0  # how long a process may take to end once it was asked to
MAX_ABANDONED = 3  # threads that are left behind in native calls, with which a process is begun again
# Not forked: the copy of a lock that another thread holds would never be released.
_SPAWN = multiprocessing.get_context("spawn")
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Workers:
    """A `Host` of `number` processes, each with a model of its own; a camera goes to the one with the fewest.

    A context manager. Raises StreamdetError when the model cannot be loaded.
    """

    def __init__(self, number: int, model: ModelOptions) -> None:
        self._workers = [Worker(model) for _ in range(number)]
        try:
            for worker in self._workers:
                worker.begun.result()
        except BaseException:
            self.close(0.0)
            raise

    def watch(self, camera: CameraSite, tell: Tell) -> RemoteWatch:
        """Return the watch of a camera, which has not begun; `tell` is called with its events."""
        return RemoteWatch(camera, min(self._workers, key=lambda worker: len(worker.watches)), tell)

    def close(self, timeout_s: float) -> None:
        """End all processes; those that go on after `timeout_s` are killed."""
        for worker in self._workers:
            worker.stop()
        deadline_s = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.join(deadline_s - time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(END_S)


class RemoteWatch:
    """A `Watch` in the process of `worker`, which it outlives; `tell` is called with the events of `camera`."""

    def __init__(self, camera: CameraSite, worker: Worker, tell: Tell) -> None:
        self.camera, self.tell, self._worker = camera, tell, worker
        self._status = Status(camera.name, camera.shown_source, State.STARTING, "", time.time())
        self._earlier = self._status  # with the counts of the processes that have died
        self._end: Future[Any] = Future()

    def start(self) -> None:
        """Begin to connect and to read."""
        self._worker.begin(self)

    def stop(self) -> None:
        """End soon; does not wait."""
        self._status = replace(self._status, state=State.STOPPED, why="", since_unix_s=time.time())
        self._end = self._worker.end(self)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end at most `timeout_s` after ``stop``; return whether it has come."""
        return bool(wait_for([self._end], max(timeout_s, 0.0)).done)

    def release_if_stuck(self, now_s: float) -> bool:
        """Kill the process if it sends nothing, so that another one begins; return whether it did hang.

        `now_s` is on the scale of ``time.monotonic()``.
        """
        return self._worker.kill_if_silent(now_s)

    def status(self) -> Status:
        """Return what the process has told last."""
        return self._status

    def jpeg(self) -> bytes | None:
        """Return the drawing of the newest frame as JPEG, None before the first one or if no answer comes."""
        try:
            picture: bytes | None = self._worker.call(Picture(self.camera.name)).result(PICTURE_S)
        except (Late, StreamdetError):
            return None
        return picture

    def told(self, status: Status) -> None:
        """Take note of what the process tells."""
        if self._status.state is not State.STOPPED:
            self._status = status.after(self._earlier)

    def lost(self, why: str) -> None:
        """Take note that the process has ended."""
        if self._status.state is not State.STOPPED:
            now = replace(self._status, rate_hz=0.0, tracks=0, ages_s=(), contract=None)
            self._earlier = self._status = replace(now, state=State.LOST, why=why, since_unix_s=time.time())


class Worker:
    """A process that watches cameras, and what keeps it running: a thread that begins it, reads, and begins it again.

    - `watches`: its cameras by name.
    - `begun`: done when the first process has loaded the model, with the error if it could not.
    - `loop`: what the process runs, `work` but in tests.
    """

    def __init__(self, model: ModelOptions, loop: Callable[[Connection, ModelOptions], None] = work) -> None:
        self.watches: dict[str, RemoteWatch] = {}
        self.begun: Future[None] = Future()
        self._model, self._loop, self._numbers = model, loop, count()
        self._speaking = threading.RLock()  # of all that follows
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._calls: dict[int, Future[Any]] = {}
        self._heard_s: float | None = None  # when the last message came, None before the first one
        self._reason = ""  # why the process was ended from here
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="worker", daemon=True)
        self._thread.start()

    def begin(self, watch: RemoteWatch) -> None:
        """Watch another camera, in later processes too."""
        with self._speaking:
            self.watches[watch.camera.name] = watch
            self.call(Begin(watch.camera))

    def end(self, watch: RemoteWatch) -> Future[Any]:
        """End a camera; the future is done when it has ended."""
        with self._speaking:
            self.watches.pop(watch.camera.name, None)
            return self.call(End(watch.camera.name))

    def call(self, request: Request) -> Future[Any]:
        """Send a request; the future has its answer, and None where the process ends before."""
        future: Future[Any] = Future()
        with self._speaking:
            if self._connection is None:
                future.set_result(None)
            else:
                number = next(self._numbers)
                self._calls[number] = future
                self._send(Call(number, request))
        return future

    def stop(self) -> None:
        """End the process soon, for good; does not wait."""
        self._stopped.set()
        threading.Thread(target=self._send, args=(None,), name="stop", daemon=True).start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end after ``stop``; what goes on after `timeout_s` is killed."""
        self._thread.join(max(timeout_s, 0.0))
        if self._thread.is_alive():
            self._kill()
            self._thread.join(END_S)

    def kill_if_silent(self, now_s: float) -> bool:
        """Kill the process if it has sent nothing for `SILENT_S`; return whether that was so."""
        if self._heard_s is None or now_s - self._heard_s < SILENT_S:
            return False
        self._heard_s, self._reason = None, f"its process did not answer for {SILENT_S:.0f} s"
        self._kill()
        return True

    def _keep(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()  # the first start of a process does it, and unblocks signals
            # Processes inherit it: signals to the whole group, as of Ctrl-C and systemd, are for the server alone.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        tries = 0
        while not self._stopped.is_set():
            began_s = time.monotonic()
            try:
                error = self._live()
            except OSError as failure:
                error = StreamdetError(f"expected another process, but {(failure.strerror or str(failure)).lower()}")
            tries = 0 if time.monotonic() - began_s >= STABLE_S else tries + 1
            if not self.begun.done():
                self.begun.set_exception(error)
            self._stopped.wait(wait_s(tries, error))

    def _live(self) -> StreamdetError:
        """Begin a process and read what it sends until it ends; return the error that tells why it did."""
        connection, other_end = _SPAWN.Pipe()
        process = _SPAWN.Process(target=self._loop, args=(other_end, self._model), name="streamdet worker", daemon=True)
        process.start()
        other_end.close()
        self._connect(process, connection)
        error = None
        try:
            while True:
                error = self._take(connection.recv()) or error
        except (EOFError, OSError):
            self._connect(None, None)
            connection.close()
        process.join(END_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        error = error or StreamdetError(self._reason or _ended(process.exitcode))
        for watch in list(self.watches.values()):
            watch.lost(str(error))
        return error

    def _connect(self, process: SpawnProcess | None, connection: Connection | None) -> None:
        """Let calls go to a new process, which gets the cameras first, or to none."""
        with self._speaking:
            self._process, self._connection, self._heard_s = process, connection, None
            for future in self._calls.values():
                future.set_result(None)
            self._calls.clear()
            if connection is not None:
                self._reason = ""
                for watch in self.watches.values():
                    self.call(Begin(watch.camera))
                if process is not None and self._stopped.is_set():
                    process.kill()

    def _take(self, message: News | Event | Answer | Failed) -> StreamdetError | None:
        """Take note of a message; return the error of a process that cannot begin."""
        self._heard_s = time.monotonic()
        match message:
            case Failed(error):
                return error
            case Answer(number, value, error):
                self._answered(number, value, error)
            case Event(camera=name):
                if watch := self.watches.get(name):
                    watch.tell(message)
            case News(cameras):
                if not self.begun.done():
                    self.begun.set_result(None)
                for status in cameras:
                    if watch := self.watches.get(status.name):
                        watch.told(status)
                abandoned = sum(each.abandoned for each in cameras)
                if abandoned >= MAX_ABANDONED and not self._reason:
                    self._end_for(f"its process began again, since {abandoned} of its threads did not return")
        return None

    def _answered(self, number: int, value: Any, error: StreamdetError | None) -> None:
        with self._speaking:
            future = self._calls.pop(number)
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def _end_for(self, reason: str) -> None:
        """End the process in order, so that its files are whole, or kill it if it does not end."""
        self._reason = reason
        if process := self._process:
            killing = threading.Timer(END_S, process.kill)
            killing.daemon = True
            killing.start()
        self._send(None)

    def _send(self, message: Call | None) -> None:
        with self._speaking:
            if self._connection is not None:
                with suppress(OSError):  # it has ended, which its reader notices
                    self._connection.send(message)

    def _kill(self) -> None:
        # Without the lock, which a call may hold that waits for a process that hangs.
        if process := self._process:
            process.kill()


def _ended(exit_code: int | None) -> str:
    """Return how a process has ended, as a sentence."""
    if exit_code is not None and exit_code < 0:
        return f"its process was killed by signal {-exit_code}"
    return f"its process ended with code {exit_code}"
