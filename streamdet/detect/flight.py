"""Frames on their way through a backend: they wait for their batch, fill a slot, and come out in order."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator

from streamdet.inference.session import Request, Session, Slot
from streamdet.types import Float32Array, Frame

# Cameras of a few sizes take turns. More than are in flight, so that what is let go is idle.
_KEPT_SIZES = 4

Collected = Iterator[tuple[Frame, Request, Float32Array]]


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
    """The slots of `session` for the last few input sizes, and the batches in them, oldest first."""

    def __init__(self, session: Session, batch: int) -> None:
        self._session, self._batch = session, batch
        self._slots: OrderedDict[tuple[int, int], list[Slot]] = OrderedDict()
        self._busy: deque[tuple[list[Frame], list[Request], Slot]] = deque()
        self._width = 1

    @property
    def full(self) -> bool:
        """Whether as many batches are in flight as keep the device busy."""
        return len(self._busy) >= self._width

    def submit(self, batch: list[Frame], requests: list[Request]) -> None:
        """Start on `batch`, unless the flight is `full`."""
        slots = self._slots_for(requests[0].letterbox.input_hw)
        slot = next(slot for slot in slots if all(slot is not taken for _, _, taken in self._busy))
        slot.submit(requests, lambda: None)
        self._busy.append((batch, requests, slot))
        self._width = len(slots)

    def collect(self) -> Collected:
        """Wait for the oldest batch; yields each frame with its request and its rows f32 (N, 6)."""
        batch, requests, slot = self._busy.popleft()
        yield from zip(batch, requests, slot.collect(), strict=True)

    def drain(self) -> Collected:
        """Wait for all that is in flight."""
        while self._busy:
            yield from self.collect()

    def close(self) -> None:
        """Let go of the slots."""
        while self._slots:
            self._let_go()

    def _slots_for(self, input_hw: tuple[int, int]) -> list[Slot]:
        if input_hw not in self._slots:
            if len(self._slots) == _KEPT_SIZES:
                self._let_go()
            self._slots[input_hw] = self._session.new_slots(input_hw, self._batch)
        self._slots.move_to_end(input_hw)
        return self._slots[input_hw]

    def _let_go(self) -> None:
        """Close the slots of the size that was not used for the longest time."""
        _, slots = self._slots.popitem(last=False)
        for slot in slots:
            slot.close()
