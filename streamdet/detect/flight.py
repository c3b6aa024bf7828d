"""Frames on their way through a backend: they wait for their batch, fill a slot, and come out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from streamdet.detect.backend import Backend
from streamdet.detect.slots import Job, Slot
from streamdet.types import Float32Array, Frame

Collected = Iterator[tuple[Frame, Job, Float32Array]]


class Batches:
    """`frames` of one image size together, `capacity` at most, and never waiting for one: `frame_waits` tells.

    A `failure` of the frames is their end, so that what is in flight still comes out before it is raised.
    """

    def __init__(self, frames: Iterable[Frame], capacity: int, frame_waits: Callable[[], bool]) -> None:
        self._frames, self._capacity, self._frame_waits = frames, capacity, frame_waits
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[list[Frame]]:
        batch: list[Frame] = []
        for frame in self._until_failure():
            if batch and frame.image.shape != batch[0].image.shape:
                yield batch
                batch = []
            batch.append(frame)
            if len(batch) == self._capacity or not self._frame_waits():
                yield batch
                batch = []
        if batch:
            yield batch

    def _until_failure(self) -> Iterator[Frame]:
        frames = iter(self._frames)
        while True:
            try:
                frame = next(frames)
            except StopIteration:
                return
            except Exception as error:
                self.failure = error
                return
            yield frame


class Flight:
    """The slots of `backend` for one job at a time, and the batches in them, oldest first."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._job: Job | None = None
        self._slots: list[Slot] = []
        self._busy: deque[tuple[list[Frame], Slot]] = deque()

    @property
    def full(self) -> bool:
        """Whether the next batch needs a slot that is taken."""
        return len(self._busy) == len(self._slots)

    def submit(self, batch: list[Frame], job: Job) -> Collected:
        """Start on `batch`, for which a slot must be free; yields what was in flight if `job` is another."""
        if job != self._job:
            yield from self.drain()
            self.close()
            self._job, self._slots = job, self._backend.new_slots(job)
        slot = next(slot for slot in self._slots if all(slot is not taken for _, taken in self._busy))
        slot.submit([frame.image for frame in batch])
        self._busy.append((batch, slot))

    def collect(self) -> Collected:
        """Wait for the oldest batch; yields each frame with its job and its rows f32 (A, 6)."""
        assert self._job is not None
        batch, slot = self._busy.popleft()
        for frame, rows in zip(batch, slot.collect(), strict=True):
            yield frame, self._job, rows

    def drain(self) -> Collected:
        """Wait for all that is in flight."""
        while self._busy:
            yield from self.collect()

    def close(self) -> None:
        """Let go of the slots."""
        for slot in self._slots:
            slot.close()
        self._slots, self._job = [], None
