"""A camera that is connected again when its stream fails, as one source of frames."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from streamdet.errors import InputError, SourceError, SourceRefused
from streamdet.pipeline.line import FrameSource, damaged_in
from streamdet.types import Frame, ToDevice

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0  # before a camera is tried again: doubled each time, up to the longest
REFUSED_WAIT_S = 30.0  # after a refusal, which lasts until somebody changes an address or password
STABLE_S = 10.0  # a connection that lasted as long was a good one: the next wait is the first again


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without a connection: the error that began it or came last, when it began, and the tries since then.

    `since_s` is on the scale of ``time.monotonic()``.
    """

    error: SourceError | InputError
    since_s: float
    tries: int = 0


class Camera:
    """The frames of a live source and of its later connections, as one sequence.

    The first frame of a new connection is later than the last one by the time between their arrivals, so that tracks
    age by it and ids survive an outage that is shorter than their budget; `Frame.index` counts on. Waits between tries
    grow, and vary at random, so that many cameras behind one switch do not come back at the same moment.

    - `first`: the first connection, which is open.
    - `connect`: opens another one; raises SourceError or InputError.
    - `patience_s`: how long an outage may last; then its last error is raised.
    - `max_frames`: the number of frames after which the iteration ends, None for no limit.
    - `now_s`, `wait`: the clock, and a wait for a time in s that returns early, with true, after ``stop``.
    """

    audio_from: str | None = None  # sound is read by opening a source again, which gives another part of a live one

    def __init__(
        self,
        first: FrameSource,
        connect: Callable[[], FrameSource],
        *,
        patience_s: float = math.inf,
        max_frames: int | None = None,
        now_s: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.id, self.info = first.id, first.info
        self.outage: Outage | None = None  # None while frames come
        self.reconnects = 0
        self._connection, self._connect = first, connect
        self._patience_s, self._max_frames, self._now_s = patience_s, max_frames, now_s
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._to_device: ToDevice | None = None
        self._warnings: list[str] = []  # of earlier connections
        self._damaged = 0  # in earlier connections
        self._last: Frame | None = None
        self._shift_ticks, self._shift_index = 0, 0
        self._given = self._tries = 0
        self._connected_s = now_s()

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem so far, the same one once."""
        return list(dict.fromkeys([*self._warnings, *self._connection.warnings]))

    @property
    def damaged(self) -> int:
        """The number of packets and frames so far that could not be decoded or are damaged."""
        return self._damaged + damaged_in(self._connection)

    def keep_on_device(self, to_device: ToDevice | None) -> None:
        """Let `to_device` make the images of pictures that a GPU decodes, of later connections too."""
        self._to_device = to_device
        self._connection.keep_on_device(to_device)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """Wait for the next frame, over as many connections as needed, and return it.

        Raises StopIteration after ``stop``, and the error of an outage that lasted longer than `patience_s`.
        """
        if self._given == self._max_frames:
            raise StopIteration
        is_new = False
        while True:
            frame = self._read()
            if isinstance(frame, SourceError):
                self._reconnect(frame)
                is_new = True
                continue
            self.outage = None
            self._given += 1
            self._last = self._continued(frame, is_new)
            return self._last

    def stop(self) -> None:
        """End the iteration soon, an outage too; may be called from any thread, and does not wait."""
        self._stopped.set()
        self._connection.stop()

    def close(self) -> None:
        """Stop, and release the connection."""
        self.stop()
        self._connection.close()

    def _read(self) -> Frame | SourceError:
        """Return the next frame of this connection, or the error that ended it.

        An error that is being handled while the next connection opens would become the context of its error, and with
        the traceback keep the connection before, and all those before that one.
        """
        try:
            return next(self._connection)
        except SourceError as error:
            return error

    def _continued(self, frame: Frame, is_new: bool) -> Frame:
        """Return `frame` with the index and time that follow the last frame of the connections before."""
        last = self._last
        if is_new and last is not None:
            passed_ticks = round((frame.received_at - last.received_at) / frame.time_base)
            last_ticks = math.floor(last.time / frame.time_base)
            self._shift_ticks = last_ticks + max(passed_ticks, 1) - frame.pts
            self._shift_index = last.index + 1 - frame.index
        if not self._shift_ticks and not self._shift_index:
            return frame
        return replace(frame, index=frame.index + self._shift_index, pts=frame.pts + self._shift_ticks)

    def _reconnect(self, error: SourceError | InputError) -> None:
        """Try until there is a connection; raises StopIteration after ``stop``, and the last error without one."""
        now_s = self._now_s()
        since_s = self.outage.since_s if self.outage else now_s
        if now_s - self._connected_s >= STABLE_S:
            self._tries = 0
        self._warnings, self._damaged = self.warnings, self.damaged
        self._connection.close()
        while True:
            self.outage = Outage(error, since_s, self._tries)
            left_s = since_s + self._patience_s - self._now_s()
            if left_s <= 0:
                raise error
            if self._wait(min(wait_s(self._tries, error), left_s)):
                raise StopIteration
            self._tries += 1
            try:
                self._connection = self._connect()
            except (SourceError, InputError) as failure:
                error = failure
                continue
            self._connection.keep_on_device(self._to_device)
            self._connected_s = self._now_s()
            self.reconnects += 1
            if self._stopped.is_set():  # while it was connected, when `stop` saw the connection before
                raise StopIteration
            return


def wait_s(tries: int, error: Exception) -> float:
    """Return how long to wait in s after `tries` in vain, of which `error` was the last: a random part is left out."""
    doubled_s = min(FIRST_WAIT_S * 2.0 ** min(tries, 10), LONGEST_WAIT_S)
    return (max(doubled_s, REFUSED_WAIT_S) if isinstance(error, SourceRefused) else doubled_s) * random.uniform(0.5, 1)
