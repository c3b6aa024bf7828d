"""Labelled footage made harder: with dropped frames, and with lost detections.

The labels were made with all frames and all detections, so that what is scored has less to go by than they had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamdet.tune.sequences import LabelledSequence
from trackers.tracker import SHORT_STEP_S

# Every second and every third frame, from the first and from the second on.
STEPS = ((2, 0), (2, 1), (3, 0), (3, 1))
# The share of the detections that are lost, and the seed of the choice.
LOST = ((0.3, 0), (0.3, 1), (0.5, 2), (0.5, 3))


def with_dropped_frames(footage: Sequence[LabelledSequence]) -> list[list[LabelledSequence]]:
    """Return versions of `footage` with some of its frames only, one for each of `STEPS`.

    There are none for steps over which trackers would treat the slowest of the sequences otherwise.
    """
    longest_step = SHORT_STEP_S * min(sequence.frame_rate for sequence in footage)
    return [
        [_every(sequence, step, sequence.first + skipped) for sequence in footage]
        for step, skipped in STEPS
        if step <= longest_step
    ]


def with_lost_detections(footage: Sequence[LabelledSequence]) -> list[list[LabelledSequence]]:
    """Return versions of `footage` without some of its detections, chosen at random, one for each of `LOST`.

    The labels stay.
    """
    return [[_without(sequence, share, seed) for sequence in footage] for share, seed in LOST]


def _every(sequence: LabelledSequence, step: int, first: int) -> LabelledSequence:
    boxes = sequence.truth.boxes
    kept = (boxes.frames >= first) & ((boxes.frames - first) % step == 0)
    return replace(sequence, truth=replace(sequence.truth, boxes=boxes.select(kept)), first=first, step=step)


def _without(sequence: LabelledSequence, share: float, seed: int) -> LabelledSequence:
    detections = sequence.detections
    kept = np.random.default_rng(seed).random(len(detections.frames)) >= share
    return replace(sequence, detections=detections.select(kept))
