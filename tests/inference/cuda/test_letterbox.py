"""Images fitted on the device against images fitted on the host."""

import numpy as np
import pytest
import torch

from streamdet.inference.cuda.letterbox import letterbox_into
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.types import UInt8Array


def fitted(image: UInt8Array, letterbox: Letterbox) -> UInt8Array:
    """Return `image` as the device fits it, into a canvas that another image was in."""
    canvas = torch.full((*letterbox.input_hw, 3), 9, dtype=torch.uint8)
    letterbox_into(canvas, torch.from_numpy(image), letterbox)
    found: UInt8Array = canvas.numpy()
    return found


@pytest.mark.parametrize("image_hw", [(480, 640), (1080, 1920), (101, 333), (64, 64), (700, 90)])
@pytest.mark.parametrize("size", [640, 64, (256, 320)])
def test_the_input_is_that_of_the_host(image_hw: tuple[int, int], size: int | tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), np.uint8)
    letterbox = Letterbox.fit(image_hw, size, 32)
    assert np.abs(fitted(image, letterbox).astype(int) - letterboxed(image, letterbox)).max() <= 1


@pytest.mark.parametrize(
    ("image_hw", "size"),
    [((1080, 1920), 640), ((720, 1280), 640), ((2160, 3840), 640), ((480, 640), 640), ((1920, 1080), 960)],
)
def test_the_pictures_of_most_cameras_are_fitted_to_the_bit(image_hw: tuple[int, int], size: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*image_hw, 3), np.uint8)
    letterbox = Letterbox.fit(image_hw, size, 32)
    np.testing.assert_array_equal(fitted(image, letterbox), letterboxed(image, letterbox))
