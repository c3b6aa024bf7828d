"""Marks that pictures carry through coding."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from streamdet.types import UInt8Array
from tests.live.counter import mark, mark_in
from tests.live.film import coded


def noise(seed: int, size: tuple[int, int]) -> UInt8Array:
    """Return a picture in which a mark is all that does not look like noise."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


@pytest.mark.parametrize("size", [(640, 360), (1280, 720)])
def test_marks_are_read_from_what_a_decoder_returns(size: tuple[int, int]) -> None:
    numbers = [0, 1, 599, 0x5555, 0xAAAA, 0xFFFF]
    images = [noise(number, size) for number in numbers]
    for image, number in zip(images, numbers, strict=True):
        mark(image, number)
    with av.open(io.BytesIO(coded(images, Fraction(10))), format="h264") as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [mark_in(image) for image in decoded] == numbers


def test_what_is_no_mark_is_not_read() -> None:
    assert [mark_in(noise(seed, (640, 360))) for seed in range(20)] == [None] * 20
    marked = noise(0, (640, 360))
    mark(marked, 5)
    marked[:16, :16] = 255 - marked[:16, :16]
    assert mark_in(marked) is None
