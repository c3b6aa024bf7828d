"""Frames fitted on the device against frames fitted on the host."""

import numpy as np
import pytest
import torch

from streamdet.inference.cuda.program import fitted
from streamdet.letterbox import Letterbox, letterbox_into, new_canvas


@pytest.mark.parametrize("image_hw", [(480, 640), (1080, 1920), (101, 333), (64, 64), (700, 90)])
@pytest.mark.parametrize("size", [640, 64, (256, 320)])
def test_the_input_is_that_of_the_host(image_hw: tuple[int, int], size: int | tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*image_hw, 3), np.uint8)
    letterbox = Letterbox.fit(image_hw, size, 32)
    canvas = new_canvas(letterbox)
    letterbox_into(canvas, image, letterbox)
    found = fitted(torch.from_numpy(image)[None], letterbox)[0].numpy()
    assert found.shape == canvas.shape
    assert np.abs(found.astype(int) - canvas).max() <= 1


@pytest.mark.parametrize(
    ("image_hw", "size"),
    [((1080, 1920), 640), ((720, 1280), 640), ((2160, 3840), 640), ((480, 640), 640), ((1920, 1080), 960)],
)
def test_the_pictures_of_most_cameras_are_fitted_to_the_bit(image_hw: tuple[int, int], size: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*image_hw, 3), np.uint8)
    letterbox = Letterbox.fit(image_hw, size, 32)
    canvas = new_canvas(letterbox)
    letterbox_into(canvas, image, letterbox)
    np.testing.assert_array_equal(fitted(torch.from_numpy(image)[None], letterbox)[0], canvas)
