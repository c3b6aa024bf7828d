"""What a server asks of each of its cameras, wherever they are watched, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, Self

from streamdet.pipeline.run import RunStats
from streamdet.scheduler.latency import ContractState
from streamdet.serve.events import Event
from streamdet.serve.options import CameraSite


class State(Enum):
    """What a camera is doing."""

    STARTING = "starting"  # it was not connected yet
    LIVE = "live"
    LOST = "lost"  # it is tried again
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a camera at one moment.

    - `why`: the error of an outage as a sentence, empty while the camera is live.
    - `since_unix_s`: when the state began.
    - `rate_hz`: results per second over the last seconds.
    - `tracks`: the number of tracks in the newest result.
    - `size`: (width, height) of the newest frame in px, None before it.
    - `results`, `dropped`, `damaged`, `reconnects`, `abandoned`: counts since the server started.
    - `ages_s`: the ages of the last results, from the arrival of the frame until its result was read.
    - `contract`: how the limit of that age is kept, None without one.
    """

    name: str
    source: str
    state: State
    why: str
    since_unix_s: float
    rate_hz: float = 0.0
    tracks: int = 0
    size: tuple[int, int] | None = None
    results: int = 0
    dropped: int = 0
    damaged: int = 0
    reconnects: int = 0
    abandoned: int = 0
    ages_s: tuple[float, ...] = ()
    contract: ContractState | None = None

    def age_s(self, percentile: float) -> float:
        """Return a percentile (0 to 100) of the ages in s, NaN before the first result."""
        return RunStats(ages_s=self.ages_s).age_s(percentile)

    def after(self, earlier: Status) -> Self:
        """Return this status with the counts of `earlier` added: those of the process that watched before."""
        names = ("results", "dropped", "damaged", "reconnects", "abandoned")
        return replace(self, **{name: getattr(self, name) + getattr(earlier, name) for name in names})


Tell = Callable[[Event], object]


class Watch(Protocol):
    """A camera that is read from ``start`` until ``stop``, over outages, hanging reads and failed runs.

    All methods may be called from any thread.
    """

    def start(self) -> None:
        """Begin to connect and to read."""

    def stop(self) -> None:
        """End soon; does not wait."""

    def join(self, timeout_s: float) -> bool:
        """Wait for the end at most `timeout_s` after ``stop``; return whether it has come."""

    def release_if_stuck(self, now_s: float) -> bool:
        """Leave behind what hangs, so that the camera is read anew; return whether something did hang.

        `now_s` is on the scale of ``time.monotonic()``.
        """

    def status(self) -> Status:
        """Return what is known now."""

    def jpeg(self) -> bytes | None:
        """Return the drawing of the newest frame as JPEG, None before the first one."""


class Host(Protocol):
    """Where cameras are watched: in this process, or in others."""

    def watch(self, camera: CameraSite, tell: Tell) -> Watch:
        """Return the watch of a camera, which has not begun; `tell` is called with its events, from any thread."""

    def close(self, timeout_s: float) -> None:
        """Free the model, or all of them, within about `timeout_s`; the watches have ended before."""
