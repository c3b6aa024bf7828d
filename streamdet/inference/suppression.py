"""Non-maximum suppression as part of a graph: a fixed number of rows out, equal to the greedy loop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamdet.inference.card import SuppressionCard

# The pairwise overlaps of so many rows take 64 MiB; more of them above the threshold mean a threshold near 0.
MAX_CANDIDATES = 4096


class SuppressedRows(nn.Module):
    """Reduces the rows of `network`, f32 (B, A, 6), to (B, max_det, 6): what NMS keeps, best first, then zeros.

    Candidates are the rows with a score of at least `conf`, compared within their class. A candidate is kept when no
    kept one ahead of it overlaps it by more than `iou`. That definition has exactly one solution, and repeating it from
    "all kept" settles at least one more row of the order with every round.
    """

    def __init__(self, network: nn.Module, card: SuppressionCard) -> None:
        super().__init__()
        self.network, self.card = network, card
        # Compiled, so that a trace for export keeps the loop, and the size that only the image decides.
        self._top, self._settled = torch.jit.script(_top), torch.jit.script(_settled)

    def forward(self, images: Tensor) -> Tensor:
        """Run the network and suppress."""
        rows: Tensor = self.network(images)
        is_candidate = rows[:, :, 4] >= self.card.conf
        # As many columns as the image with most candidates has: what is paired up is small where little is seen.
        ranked = self._best(rows, is_candidate.sum(1).max().clamp(1, MAX_CANDIDATES))
        is_kept = self._settled(_suppresses(ranked, self.card.iou)) * (ranked[:, :, 4] >= self.card.conf)
        # Rows of zeros, so that there are always max_det of them to choose from.
        padding = torch.zeros_like(rows[:, :1]).expand(-1, self.card.max_det, -1)
        kept = torch.cat([ranked * is_kept[:, :, None], padding], 1)
        return self._best(kept, torch.tensor(self.card.max_det))

    def _best(self, rows: Tensor, count: Tensor) -> Tensor:
        """Return the `count` rows of highest score, best first."""
        order = self._top(rows[:, :, 4], count)
        return rows.gather(1, order[:, :, None].expand(-1, -1, 6))


def pairwise_iou(rows: Tensor) -> Tensor:
    """Return the overlap f32 (B, K, K) of all pairs of `rows` (B, K, >= 4), which begin with xyxy."""
    x1, y1, x2, y2 = rows[:, :, :4].unbind(2)
    areas = (x2 - x1) * (y2 - y1)
    intersection = _common(x1, x2) * _common(y1, y2)
    union = areas[:, :, None] + areas[:, None, :] - intersection
    return intersection / union.clamp(min=1e-9)


def _common(begin: Tensor, end: Tensor) -> Tensor:
    """Return how long the parts (B, K, K) are that pairs of spans from `begin` (B, K) to `end` (B, K) share."""
    first_end = torch.minimum(end[:, :, None], end[:, None, :])
    return (first_end - torch.maximum(begin[:, :, None], begin[:, None, :])).clamp(min=0)


def _suppresses(rows: Tensor, iou: float) -> Tensor:
    """Return f32 (B, K, K): 1 where row i would suppress row j behind it."""
    overlaps = pairwise_iou(rows) > iou
    same_class = rows[:, :, None, 5] == rows[:, None, :, 5]
    rank = torch.arange(rows.shape[1])
    return (overlaps & same_class & (rank[:, None] < rank)).float()


def _top(scores: Tensor, count: Tensor) -> Tensor:
    """Return the columns of the `count` highest `scores` (B, A), int64 (B, count)."""
    return torch.topk(scores, int(count), 1)[1]


def _settled(suppresses: Tensor) -> Tensor:
    """Return f32 (B, K): 1 for the rows that are kept when row i of `suppresses` (B, K, K) removes what it marks."""
    keep = torch.ones_like(suppresses[:, 0])
    settles = True
    while settles:
        before = keep
        # keep_j = no kept i suppresses j
        keep = (torch.matmul(before[:, None], suppresses)[:, 0] < 0.5).float()
        settles = bool((keep != before).any())
    return keep
