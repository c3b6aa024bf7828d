"""Non-maximum suppression of a fixed size: no shape depends on what is seen, so that a graph can hold it.

Greedy suppression is the one solution of "kept when no kept box ahead overlaps it"; repeating that from "all kept"
finds it, in as many rounds as the longest chain of boxes that decide about each other. A fixed number of rounds settles
nearly every image; that it did, and that there were not more candidates than fit, is part of the answer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streamdet.inference.suppression import pairwise_iou
from streamdet.nms import Selection
from streamdet.types import Float32Array

CANDIDATES = 512  # all pairs of them are compared for every image; more of them are left to the host
ROUNDS = 8
_KEPT = 6


class Limits(NamedTuple):
    """Scores from `conf`, overlap above `iou`, between classes too if `agnostic`.

    `class_ids` f32 (C,), on the device of the rows, are the classes that count, None for all.
    """

    conf: float
    iou: float
    agnostic: bool = False
    class_ids: Tensor | None = None

    @classmethod
    def of(cls, select: Selection, device: torch.device) -> Limits:
        """Return the limits of `select`, for rows on `device`."""
        class_ids = select.class_ids
        wanted = None if class_ids is None else torch.tensor(class_ids, dtype=torch.float32, device=device)
        return cls(select.conf, select.iou, select.agnostic, wanted)


def suppressed(rows: Tensor, limits: Limits) -> tuple[Tensor, Tensor]:
    """Return the candidates among `rows` f32 (B, A, 6), xyxy, score, class id, f32 (B, K, 7), and their state (B, 2).

    Candidates are sorted by falling score, equal ones as in `rows`; column 6 is 1 for those that are kept. The state is
    how many there are, which may be more than the K that fit, and 1 if it is settled which are kept.
    """
    eligible = rows[:, :, 4] >= limits.conf
    if limits.class_ids is not None:
        eligible &= (rows[:, :, 5, None] == limits.class_ids).any(2)
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
    overlapping = pairwise_iou(rows) > limits.iou
    if not limits.agnostic:
        overlapping &= rows[:, :, None, 5] == rows[:, None, :, 5]
    return overlapping.triu(1)
