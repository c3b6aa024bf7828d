"""A slot holds images on their way through a backend; two slots make double buffering.

`submit` hands images over and returns as soon as it can; `collect` waits for their rows. On a GPU the copy of the next
images lies under the compute of these. On a CPU each slot computes one image with its share of the cores: two images
side by side keep all cores busier than one image spread over them, whose layers are too small to split evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from streamdet.letterbox import Letterbox, letterbox_into, new_canvas
from streamdet.nms import Selection
from streamdet.types import Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class Job:
    """What slots are made for: images of `image_hw` px, fitted by `letterbox`, up to `batch` at once.

    `select` says which rows of an image are kept.
    """

    image_hw: tuple[int, int]
    letterbox: Letterbox
    select: Selection
    batch: int = 1


class Slot(Protocol):
    """Images in flight."""

    def submit(self, images: Sequence[UInt8Array]) -> None:
        """Start on `images` uint8 (H, W, 3) RGB, as many as the job says at most; the last have been collected.

        On a GPU tensors may be among them, of images that were decoded there.
        """

    def collect(self) -> list[Float32Array]:
        """Wait; returns the rows f32 (N, 6) of each submitted image that the job's `select` keeps."""

    def close(self) -> None:
        """Let go of threads and buffers."""


class ThreadSlot:
    """A thread that calls `compute`, images uint8 (1, H, W, 3) to rows f32 (1, A, 6), after `prepare`."""

    def __init__(
        self, compute: Callable[[UInt8Array], Float32Array], job: Job, prepare: Callable[[], None] = lambda: None
    ) -> None:
        self._compute, self._job = compute, job
        self._canvas = new_canvas(job.letterbox)
        self._rows: list[Future[Float32Array]] = []
        self._worker = ThreadPoolExecutor(1, "detect-slot", initializer=prepare)

    def submit(self, images: Sequence[UInt8Array]) -> None:
        """Queue the image for this slot's thread."""
        self._rows = [self._worker.submit(self._detect, image) for image in images]

    def collect(self) -> list[Float32Array]:
        """Wait for the thread; see `Slot`."""
        return [rows.result() for rows in self._rows]

    def close(self) -> None:
        """End the thread, after the image it is busy with."""
        self._worker.shutdown(cancel_futures=True)

    def _detect(self, image: UInt8Array) -> Float32Array:
        letterbox_into(self._canvas, image, self._job.letterbox)
        return self._job.select.kept(self._compute(self._canvas[None])[0])
