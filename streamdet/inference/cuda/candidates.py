"""Non-maximum suppression of a fixed size: no shape depends on what is seen, so that a graph can hold it.

Greedy suppression is the one solution of "kept when no kept box ahead overlaps it"; repeating that from "all kept"
finds it, in as many rounds as the longest chain of boxes that decide about each other. A fixed number of rounds settles
nearly every image; that it did, and that there were not more candidates than fit, is part of the answer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from streamdet.boxes import Selection
from streamdet.inference.suppression import pairwise_iou
from streamdet.types import Float32Array

CANDIDATES = 512  # all pairs of them are compared for every image; more of them are left to the host
ROUNDS = 8
PACKED = 3  # numbers of a selection beside its classes
_KEPT = 6


class Limits(NamedTuple):
    """What is asked of each image of a batch: scores from `conf` f32 (B,), overlap above `iou` f32 (B,) at most.

    Boxes of two classes suppress each other where `agnostic` bool (B,) says so; `classes` bool (B, C) are those that
    count.
    """

    conf: Tensor
    iou: Tensor
    agnostic: Tensor
    classes: Tensor

    @classmethod
    def unpacked(cls, numbers: Tensor) -> Limits:
        """Return what `packed` made of a selection for each image, `numbers` f32 (B, 3 + C)."""
        return cls(numbers[:, 0], numbers[:, 1], numbers[:, 2] > 0, numbers[:, PACKED:] > 0)


def packed(select: Selection, class_count: int) -> Float32Array:
    """Return the limits of `select` as f32 (3 + C,), so that they are copied to a device at once."""
    numbers = np.zeros(PACKED + class_count, np.float32)
    numbers[:PACKED] = select.conf, select.iou, select.agnostic
    numbers[PACKED:] = 1 if select.class_ids is None else np.isin(np.arange(class_count), select.class_ids)
    return numbers


def suppressed(rows: Tensor, limits: Limits) -> tuple[Tensor, Tensor]:
    """Return the candidates among `rows` f32 (B, A, 6), xyxy, score, class id, f32 (B, K, 7), and their state (B, 2).

    Candidates are sorted by falling score, equal ones as in `rows`; column 6 is 1 for those that are kept. The state is
    how many there are, which may be more than the K that fit, and 1 if it is settled which are kept.
    """
    eligible = (rows[:, :, 4] >= limits.conf[:, None]) & limits.classes.gather(1, rows[:, :, 5].long())
    scores = torch.where(eligible, rows[:, :, 4], -1.0)
    order = torch.sort(scores, dim=1, descending=True, stable=True)[1][:, :CANDIDATES]
    best = rows.gather(1, order[:, :, None].expand(-1, -1, 6))
    present = eligible.gather(1, order)
    suppresses = _overlapping(best, limits) & present[:, :, None]
    keep = present
    for _ in range(ROUNDS):
        before = keep
        keep = present & ~(suppresses & before[:, :, None]).any(1)
    settled = (keep == before).all(1)
    state = torch.stack([eligible.sum(1), settled], 1).float()
    return torch.cat([best, keep[:, :, None]], 2), state


def selected(candidates: Float32Array, state: Float32Array, select: Selection) -> Float32Array | None:
    """Return the rows (N, 6) that `select` keeps of one image's `candidates` (K, 7), None if these are not enough.

    `state` (2,) is that of `suppressed`. What is not settled is suppressed here.
    """
    count, settled = int(state[0]), bool(state[1])
    if count > len(candidates):
        return None
    rows = candidates[:count]
    if not settled:
        return select.kept(rows[:, :_KEPT])
    return rows[rows[:, _KEPT] > 0, :_KEPT][: select.max_det]


def _overlapping(rows: Tensor, limits: Limits) -> Tensor:
    """Return bool (B, K, K): whether row i overlaps row j behind it too much."""
    overlapping = pairwise_iou(rows) > limits.iou[:, None, None]
    rivals = (rows[:, :, None, 5] == rows[:, None, :, 5]) | limits.agnostic[:, None, None]
    return (overlapping & rivals).triu(1)
