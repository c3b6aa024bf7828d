"""What a GPU computes besides the network: RGB images of decoded pictures, their letterbox, and suppression."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from streamdet.boxes import UPRIGHT, Comparison, Selection
from streamdet.inference.graph import PairwiseOverlap, pairwise_iou
from streamdet.letterbox import PADDING, Letterbox
from streamdet.types import Float32Array

CANDIDATES = 512  # rows of an image that are compared in pairs; an image with more of them is left to the host
ROUNDS = 8  # of suppression
PACKED = 3  # numbers of a selection ahead of its classes

# Shares of red and blue in luma, by matrix coefficients of ITU-T H.273, table 4. FFmpeg takes BT.601 for all others.
_LUMA_SHARES = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)


def yuv_to_rgb(luma: Tensor, chroma: Tensor, matrix: int, *, full_range: bool) -> Tensor:
    """Return the picture of `luma` uint8 (H, W) and `chroma` uint8 (H/2, W/2, 2) as uint8 (H, W, 3) RGB.

    `matrix` is the code of H.273, table 4, for the coefficients of luma and chroma. As in the conversion by FFmpeg on
    the host, each chroma sample counts for four pixels and fractions are cut off. The two differ by 2 of 255 at most in
    real clips.
    """
    red, blue = _LUMA_SHARES.get(matrix, _BT601)
    green = 1 - red - blue
    black, luma_range, chroma_range = (0, 255, 255) if full_range else (16, 219, 224)
    y = (luma.float() - black) * (255 / luma_range)
    by_pixel = chroma.repeat_interleave(2, 0).repeat_interleave(2, 1)[: luma.shape[0], : luma.shape[1]]
    cb, cr = ((by_pixel.float() - 128) * (255 / chroma_range)).unbind(2)
    # H.273, equations 38 to 40, solved for R, G and B.
    more_red, more_blue = 2 * (1 - red) * cr, 2 * (1 - blue) * cb
    pixels = torch.stack([y + more_red, y - (red * more_red + blue * more_blue) / green, y + more_blue], 2)
    return pixels.clamp(0, 255).byte()


def letterbox_on_device(canvas: Tensor, image: Tensor, letterbox: Letterbox) -> None:
    """Fit `image` uint8 (H, W, 3) into `canvas` uint8 (h, w, 3), all of which is written; both are on one device.

    The image is resized bilinearly between pixel centres, and rounded. If it shrinks by a whole factor, as that of most
    cameras does, the result is the one of `letterboxed` on the host; else a pixel differs by 1 at most.
    """
    image = letterbox.seen(image)
    height, width = letterbox.resized_hw
    ratio = image.shape[0] // height
    is_whole = tuple(image.shape[:2]) == (ratio * height, ratio * width)
    if (height, width) != letterbox.input_hw:
        canvas.fill_(PADDING)
    place = canvas[letterbox.pad_y : letterbox.pad_y + height, letterbox.pad_x : letterbox.pad_x + width]
    if letterbox.interpolation == cv2.INTER_AREA:
        place.copy_(_resized(image, (height, width), "area"))
    else:
        place.copy_(_shrunk(image, ratio) if is_whole else _resized(image, (height, width), "bilinear"))


def _shrunk(image: Tensor, ratio: int) -> Tensor:
    """Return one pixel for each `ratio` x `ratio`: the middle one, or the mean of the middle four, halves rounded up.

    It reads only these pixels, while a resize would first convert all of them to floats.
    """
    first = (ratio - 1) // 2
    if ratio % 2:
        return image[first::ratio, first::ratio]
    above, below = (image[y::ratio].short() for y in (first, first + 1))
    columns = above + below
    return (columns[:, first::ratio] + columns[:, first + 1 :: ratio] + 2) // 4


def _resized(image: Tensor, hw: tuple[int, int], mode: str) -> Tensor:
    pixels = image.permute(2, 0, 1)[None].float()
    resized = functional.interpolate(pixels, hw, mode=mode)
    return resized.round()[0].permute(1, 2, 0)


class Limits(NamedTuple):
    """The selections of the images of a batch, as tensors on the device.

    - `conf` f32 (B,): the lowest score of a candidate.
    - `iou` f32 (B,): the overlap above which a box suppresses another.
    - `agnostic` bool (B,): whether boxes of different classes suppress each other.
    - `classes` bool (B, C): the classes of candidates.
    """

    conf: Tensor
    iou: Tensor
    agnostic: Tensor
    classes: Tensor

    @classmethod
    def unpacked(cls, numbers: Tensor) -> Limits:
        """Return the limits in `numbers` f32 (B, 3 + C), a row of `packed` for each image."""
        return cls(numbers[:, 0], numbers[:, 1], numbers[:, 2] > 0, numbers[:, PACKED:] > 0)


def packed(select: Selection, class_count: int) -> Float32Array:
    """Return the limits of `select` as f32 (3 + C,), so that one copy takes them to a device."""
    numbers = np.zeros(PACKED + class_count, np.float32)
    numbers[:PACKED] = select.conf, select.iou, select.agnostic
    numbers[PACKED:] = 1 if select.class_ids is None else np.isin(np.arange(class_count), select.class_ids)
    return numbers


def suppressed(rows: Tensor, limits: Limits, overlap: PairwiseOverlap = pairwise_iou) -> tuple[Tensor, Tensor]:
    """Return the candidates f32 (B, K, W + 1) among `rows` f32 (B, A, W), and a state f32 (B, 2).

    A row is xyxy, score, class id, and what the task adds; `overlap` compares them. Candidates are sorted by falling
    score, equal ones as in `rows`; their last column is 1 for those that are kept. The state is the number of
    candidates, which may be above the K that fit, and 1 if it is settled which of them are kept.

    No shape depends on the content of the images, so that a CUDA graph can hold this. Greedy suppression is the one
    solution of "kept when no kept box ahead overlaps it"; repeating that from "all kept" finds it, in as many rounds as
    the longest chain of boxes that decide about each other. A fixed number of rounds settles nearly every image.
    """
    eligible = (rows[:, :, 4] >= limits.conf[:, None]) & limits.classes.gather(1, rows[:, :, 5].long())
    scores = torch.where(eligible, rows[:, :, 4], -1.0)
    order = torch.sort(scores, dim=1, descending=True, stable=True)[1][:, :CANDIDATES]
    best = rows.gather(1, order[:, :, None].expand(-1, -1, rows.shape[2]))
    present = eligible.gather(1, order)
    suppresses = _suppressing(best, overlap(best), limits) & present[:, :, None]
    keep = present
    for _ in range(ROUNDS):
        before = keep
        keep = present & ~(suppresses & before[:, :, None]).any(1)
    settled = (keep == before).all(1)
    state = torch.stack([eligible.sum(1), settled], 1).float()
    return torch.cat([best, keep[:, :, None]], 2), state


def selected(
    candidates: Float32Array, state: Float32Array, select: Selection, compared: Comparison = UPRIGHT
) -> Float32Array | None:
    """Return the rows (N, W) that `select` keeps of one image's `candidates` (K, W + 1), None if not all of them fit.

    `state` (2,) is that of `suppressed`. Candidates that are not settled are suppressed here, as `compared`, and so are
    all of them for a suppression that is not greedy.
    """
    count, settled = int(state[0]), bool(state[1])
    if count > len(candidates):
        return None
    rows = candidates[:count]
    if not settled or select.nms != "greedy":
        return select.kept(rows[:, :-1], compared)
    return rows[rows[:, -1] > 0, :-1][: select.max_det]


def _suppressing(rows: Tensor, overlaps: Tensor, limits: Limits) -> Tensor:
    """Return bool (B, K, K): whether row i would suppress row j behind it."""
    overlapping = overlaps > limits.iou[:, None, None]
    rivals = (rows[:, :, None, 5] == rows[:, None, :, 5]) | limits.agnostic[:, None, None]
    return (overlapping & rivals).triu(1)
