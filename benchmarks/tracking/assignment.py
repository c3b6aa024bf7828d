"""Times the assignment of people in a queue, who hide each other, solved as a dense and as a sparse problem.

    python -m benchmarks.tracking.assignment

Prints the distance between neighbours in px, the number of people, and the median us of a call, dense and sparse.
At the smaller distance the two times cross at `trackers.assignment.DENSE_SIDE`.
"""

from __future__ import annotations

import time
from itertools import product

import numpy as np

from trackers import assignment
from trackers.association import Pairs, overlapping
from trackers.types import FloatArray

PEOPLE = (2, 4, 8, 16, 32, 64, 128, 192, 256, 512)
WIDTH_PX, HEIGHT_PX = 40, 100
SPACINGS_PX = (15, 3)  # 3 and 14 pairs per person below the limit
NOISE_PX = 4
SEEN = 0.9
LIMIT = 0.8
QUEUES = 200


def main() -> None:
    random = np.random.default_rng(0)
    for spacing_px, people in product(SPACINGS_PX, PEOPLE):
        queues = [queue(random, people, spacing_px) for _ in range(QUEUES)]
        dense_us, sparse_us = median_us(queues, dense_side=people), median_us(queues, dense_side=0)
        print(f"{spacing_px},{people},{dense_us:.1f},{sparse_us:.1f}", flush=True)


def queue(random: np.random.Generator, people: int, spacing_px: int) -> Pairs:
    """Return the pairs of tracks and detections in a queue of `people`; both sides miss some of them."""
    left = spacing_px * np.arange(people)
    boxes = np.column_stack([left, np.zeros(people), left + WIDTH_PX, np.full(people, HEIGHT_PX)])
    tracks, detections = (seen(random, boxes) for _ in range(2))
    pairs = overlapping(tracks, detections)
    return pairs.select(1 - pairs.iou < LIMIT)


def seen(random: np.random.Generator, boxes: FloatArray) -> FloatArray:
    """Return most of `boxes` (N, 4), each shifted a little along x."""
    kept = boxes[random.random(len(boxes)) < SEEN]
    return kept + random.normal(0, NOISE_PX, (len(kept), 1))


def median_us(queues: list[Pairs], *, dense_side: int) -> float:
    """Return the median time of an assignment over `queues` in us, solved as a dense problem up to `dense_side`."""
    assignment.DENSE_SIDE = dense_side
    times_s = []
    for pairs in queues:
        cost = 1 - pairs.iou
        since = time.perf_counter()
        assignment.assign(pairs.rows, pairs.columns, cost, LIMIT)
        times_s.append(time.perf_counter() - since)
    return 1e6 * float(np.median(times_s))


if __name__ == "__main__":
    main()
