"""Letterboxing: known sizes, and that boxes come back to where they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.letterbox import Letterbox


@pytest.mark.parametrize(
    ("image_hw", "size", "input_hw", "pad_xy"),
    [
        ((432, 768), 640, (384, 640), (0, 12)),  # 640x360, padded to a multiple of 32
        ((1080, 1920), 640, (384, 640), (0, 12)),
        ((576, 768), 640, (480, 640), (0, 0)),
        ((768, 432), 640, (640, 384), (12, 0)),
        ((640, 640), 640, (640, 640), (0, 0)),
        ((480, 640), (640, 640), (640, 640), (0, 80)),
    ],
)
def test_known_sizes(image_hw: tuple[int, int], size: int, input_hw: tuple[int, int], pad_xy: tuple[int, int]) -> None:
    letterbox = Letterbox.fit(image_hw, size, 32)
    assert letterbox.input_hw == input_hw
    assert (letterbox.pad_x, letterbox.pad_y) == pad_xy


sides = st.integers(1, 4000)


@given(height=sides, width=sides, size=st.sampled_from([320, 640, 1280]))
def test_the_input_is_the_smallest_multiple_that_holds_the_image(height: int, width: int, size: int) -> None:
    letterbox = Letterbox.fit((height, width), size, 32)
    for inner, outer, pad in zip(
        letterbox.resized_hw, letterbox.input_hw, (letterbox.pad_y, letterbox.pad_x), strict=True
    ):
        assert outer % 32 == 0
        assert 0 <= outer - inner < 32
        assert pad == (outer - inner) // 2
    assert max(letterbox.resized_hw) == size


@given(height=st.integers(50, 4000), width=st.integers(50, 4000), x=st.floats(0, 1), y=st.floats(0, 1))
def test_boxes_come_back(height: int, width: int, x: float, y: float) -> None:
    letterbox = Letterbox.fit((height, width), 640, 32)
    box = np.array([[x * width, y * height, width, height]], np.float32)
    pad = np.array([letterbox.pad_x, letterbox.pad_y] * 2, np.float32)
    back = letterbox.to_image(box * np.float32(letterbox.scale) + pad, (height, width))
    np.testing.assert_allclose(back, box, atol=4000 * 1e-6 + 1e-3)


def test_boxes_are_clipped_to_the_image() -> None:
    letterbox = Letterbox.fit((360, 640), 640, 32)
    back = letterbox.to_image(np.array([[-5, 0, 700, 384]], np.float32), (360, 640))
    np.testing.assert_array_equal(back, [[0, 0, 640, 360]])
