"""Which frames are worth a label, in scripted scenes at 25 Hz."""

from collections.abc import Iterable

import numpy as np
import pytest

from streamdet.labelling.novelty import Novelty
from streamdet.types import Tracks, UInt8Array

RATE_HZ = 25
GREY = np.full((90, 160, 3), 128, np.uint8)


def people(lefts: Iterable[float], first_id: int = 1) -> Tracks:
    """People 40 px wide and 80 px high, numbered from `first_id`."""
    boxes = np.array([[left, 0, left + 40, 80] for left in lefts], np.float32).reshape(-1, 4)
    n = len(boxes)
    return Tracks(np.arange(first_id, first_id + n), boxes, np.ones(n, np.float32), np.zeros(n, np.int64), np.arange(n))


def chosen(scene: Iterable[Tracks], images: Iterable[UInt8Array] | None = None) -> list[int]:
    """The frames that are chosen of a scene."""
    novelty = Novelty()
    tracks = list(scene)
    pictures = list(images) if images is not None else [GREY] * len(tracks)
    pairs = enumerate(zip(pictures, tracks, strict=True))
    return [index for index, (image, each) in pairs if novelty(index / RATE_HZ, image, each)]


def test_where_nothing_changes_one_frame_is_enough() -> None:
    assert chosen([people([0, 100])] * 250) == [0]
    assert chosen([people([])] * 250) == [0]


def test_where_everything_changes_frames_are_half_a_second_apart() -> None:
    # 40 px a frame: no box overlaps that of the frame before.
    assert chosen([people([40.0 * i]) for i in range(60)]) == [0, 13, 26, 39, 52]


def test_who_walks_slowly_is_chosen_when_the_overlap_is_gone() -> None:
    # Half the overlap, (40 - d) / (40 + d) < 1/2, is gone after d = 13.3 px: 27 frames of 0.5 px.
    assert chosen([people([0.5 * i]) for i in range(60)]) == [0, 27, 54]


def test_one_of_ten_has_a_tenth_of_the_weight() -> None:
    standing = [100.0 * i for i in range(1, 10)]
    assert chosen([people([40.0 * i, *standing]) for i in range(251)]) == [0, 125, 250]


def test_who_comes_and_who_goes_is_a_change() -> None:
    scene = [people([])] * 50 + [people([0])] * 50 + [people([])] * 50
    assert chosen(scene) == [0, 50, 100]
    assert chosen([people([0])] * 50 + [people([0], first_id=2)] * 50) == [0, 50]


def test_a_change_of_scene_is_a_change() -> None:
    images = [GREY] * 50 + [GREY + np.uint8(40)] * 50
    assert chosen([people([])] * 100, images) == [0, 50]


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [np.clip(GREY + rng.normal(0, 12, GREY.shape), 0, 255).astype(np.uint8) for _ in range(60)]
    assert chosen([people([])] * 60, images) == [0]
