"""What a batch of images is labelled with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Targets:
    """The N labelled objects of B images, one after the other.

    `boxes` f32 (N, 4) xyxy in model px, `class_ids` i64 (N,), `image_index` i64 (N,) in 0 .. B - 1 and rising;
    `labelled` bool (B, C): the classes that an image is labelled for. What it shows of others is not known.
    """

    boxes: Tensor
    class_ids: Tensor
    image_index: Tensor
    labelled: Tensor

    def to(self, device: torch.device | str) -> Targets:
        """Return the same targets on `device`."""
        tensors = (self.boxes, self.class_ids, self.image_index, self.labelled)
        return Targets(*(tensor.to(device, non_blocking=True) for tensor in tensors))

    def scaled(self, factor: float) -> Targets:
        """Return the targets of images resized by `factor`."""
        return Targets(self.boxes * factor, self.class_ids, self.image_index, self.labelled)
