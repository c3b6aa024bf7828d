"""A detector that is slowed down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from streamdet.inference.session import ModelCard, Precision, Request, Session, Slot
from streamdet.letterbox import Letterbox
from streamdet.options import IMAGE_SIZE_PX
from streamdet.types import Float32Array, Frame, ToDevice


class SlowSession:
    """The detector `session` as if it computed one image at a time and took at least `full_s` for each.

    That is for an image of the default size; smaller ones take less in proportion to their area, as with a detector
    that is slow by itself.
    """

    parallel = 1

    def __init__(self, session: Session, full_s: float) -> None:
        self.name, self.device, self.selects = session.name, session.device, session.selects
        self.precision: Precision = session.precision
        self.card: ModelCard = session.card
        self._session, self._full_s = session, full_s

    def __call__(self, images: npt.NDArray[Any]) -> Float32Array:
        """Compute `images`, not slowed."""
        found: Float32Array = self._session(images)
        return found

    def stage(self, frame: Frame, letterbox: Letterbox) -> Any:
        """Return what the session makes of `frame`."""
        return self._session.stage(frame, letterbox)

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return one slot."""
        first, *others = self._session.new_slots(input_hw, batch)
        for slot in others:
            slot.close()
        return [_SlowSlot(first, self._full_s * (max(input_hw) / IMAGE_SIZE_PX) ** 2)]

    @property
    def to_device(self) -> ToDevice | None:
        """As the session has it."""
        return self._session.to_device

    def close(self) -> None:
        """Release the model."""
        self._session.close()


class _SlowSlot:
    """A slot whose images are done after `least_s` at the earliest."""

    def __init__(self, slot: Slot, least_s: float) -> None:
        self._slot, self._least_s = slot, least_s

    def submit(self, requests: Sequence[Request], done: Callable[[], None]) -> None:
        """Start to compute, and call `done` in time."""
        due_s = time.monotonic() + self._least_s
        self._slot.submit(requests, lambda: threading.Timer(max(due_s - time.monotonic(), 0), done).start())

    def collect(self) -> list[Float32Array]:
        """Return the rows of each request."""
        return self._slot.collect()

    def close(self) -> None:
        """Release what the slot holds."""
        self._slot.close()
