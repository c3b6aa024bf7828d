"""Sessions and requests to them, slots filled in turn, and networks whose rows tell which image they saw."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from streamdet.boxes import Selection
from streamdet.inference.cuda.runtime import Runtime
from streamdet.inference.cuda.session import CudaSession
from streamdet.inference.session import ModelCard, Request, Slot
from streamdet.letterbox import Letterbox
from streamdet.types import Float32Array, Frame, UInt8Array

from .fake_device import FakeRuntime

INPUT_HW = (8, 12)
SELECT = Selection(conf=0.5, iou=0.7)
CARD = ModelCard(("cat", "dog", "owl"), stride=2)


class Brightness(nn.Module):
    """Finds as many boxes as the image is bright, apart from each other; what is dark scores below the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        level = images[:, 4, 6, 0]
        number = torch.arange(40.0)
        boxes = torch.stack([10 * number, number * 0, 10 * number + 5, number * 0 + 5], 1)
        score = torch.where(number < level[:, None], 0.9, 0.1)
        return torch.cat([boxes.expand(len(level), -1, -1), score[:, :, None], score[:, :, None] * 0], 2)


class Texture(nn.Module):
    """Finds boxes, scores and classes that are the numbers of the pixels."""

    def forward(self, images: Tensor) -> Tensor:
        x, y, width, height, score, label = images.flatten(1).view(len(images), -1, 6).float().unbind(2)
        corner = x % 16, y % 16
        boxes = *corner, corner[0] + 4 + width % 16, corner[1] + 4 + height % 16
        return torch.stack([*boxes, score / 255, label % len(CARD.class_names)], 2)


def session(runtime: Runtime, network: nn.Module | None = None) -> CudaSession:
    return CudaSession(runtime, network or Brightness(), CARD)


def image(level: int, hw: tuple[int, int] = (4, 6)) -> UInt8Array:
    return np.full((*hw, 3), level, np.uint8)


def request(by: CudaSession, pixels: UInt8Array, select: Selection = SELECT, *, on_device: bool = False) -> Request:
    letterbox = Letterbox.fit(pixels.shape[:2], INPUT_HW, CARD.stride)
    frame = Frame(0, 0, Fraction(1, 25), pixels, "test", 0.0, torch.from_numpy(pixels.copy()) if on_device else None)
    return Request(by.stage(frame, letterbox), letterbox, select)


def counts(rows: list[Float32Array]) -> list[int]:
    return [len(found) for found in rows]


def nothing() -> None: ...


@dataclass
class Double:
    """Two slots that are filled in turn, as a detector does; `found` are the rows of all requests, in order."""

    by: CudaSession
    batch: int

    def __post_init__(self) -> None:
        self._free, self._busy = deque(self.by.new_slots(INPUT_HW, self.batch)), deque[Slot]()
        self.found: list[Float32Array] = []

    def run(self, requests: Sequence[Request]) -> list[Float32Array]:
        for start in range(0, len(requests), self.batch):
            slot = self._free.popleft()
            slot.submit(requests[start : start + self.batch], nothing)
            self._busy.append(slot)
            if not self._free:
                self._collect()
        while self._busy:
            self._collect()
        return self.found

    def _collect(self) -> None:
        self._free.append(self._busy.popleft())
        self.found += self._free[-1].collect()


def double_buffered(runtime: FakeRuntime, levels: list[int], batch: int) -> list[int]:
    """Return how many boxes are found in images of these levels."""
    by = session(runtime)
    return counts(Double(by, batch).run([request(by, image(level)) for level in levels]))
