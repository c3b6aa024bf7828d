"""Multi-scale training: another image size from batch to batch."""

from __future__ import annotations

import numpy as np

from streamdet.train.settings import TrainSettings


def batch_size_px(settings: TrainSettings, epoch: int, batch: int, stride_px: int) -> int:
    """Return the side in px, a multiple of `stride_px`, of the images of one batch; decided by seed and place."""
    if not settings.multi_scale:
        return settings.imgsz
    rng = np.random.default_rng([settings.seed, epoch, batch, stride_px])
    factor = rng.uniform(1 - settings.multi_scale, 1 + settings.multi_scale)
    return max(round(settings.imgsz * factor / stride_px), 1) * stride_px
