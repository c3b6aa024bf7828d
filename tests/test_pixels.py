"""Images as callers have them: each way is one image, or refused in one sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from streamdet.errors import InputError
from streamdet.pixels import rgb_image
from streamdet.types import UInt8Array

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
RGB[0, 0], RGB[-1, -1] = 0, 255
GREY = np.repeat(RGB[:, :, :1], 3, axis=2)
WHITE = np.where(GREY > 127, 255, 0).astype(np.uint8)


def test_an_array_of_the_right_kind_is_not_copied() -> None:
    assert np.shares_memory(rgb_image(RGB), RGB)
    read_only = RGB.copy()
    read_only.flags.writeable = False
    assert np.shares_memory(rgb_image(read_only), read_only)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(GREY[:, :, 0], GREY, id="grey"),
        pytest.param(GREY[:, :, :1], GREY, id="grey with a channel"),
        pytest.param(np.dstack([RGB, RGB[:, :, :1]]), RGB, id="RGBA"),
        pytest.param((RGB / 255).astype(np.float32), RGB, id="float32"),
        pytest.param(RGB / 255, RGB, id="float64"),
        pytest.param((RGB / 255).astype(np.float16), RGB, id="float16"),
        pytest.param(GREY[:, :, 0] > 127, WHITE, id="bool"),
        pytest.param(RGB.astype(np.int64), RGB, id="int64"),
        pytest.param(RGB.astype(">u2"), RGB, id="8 bits in 16, big-endian"),
        pytest.param(RGB.tolist(), RGB, id="lists"),
        pytest.param(np.asfortranarray(RGB), RGB, id="columns first in memory"),
        pytest.param(RGB[::-1, ::-1], RGB[::-1, ::-1], id="negative strides"),
        pytest.param(torch.from_numpy(RGB), RGB, id="tensor"),
        pytest.param(torch.from_numpy(RGB).permute(2, 0, 1), RGB, id="tensor with its channels in front"),
        pytest.param(torch.from_numpy(RGB[:, :, :1]).permute(2, 0, 1), GREY, id="grey tensor with a channel in front"),
        pytest.param((torch.from_numpy(RGB) / 255).requires_grad_(), RGB, id="tensor with a gradient"),
    ],
)
def test_an_image_is_converted(image: object, expected: UInt8Array) -> None:
    found = rgb_image(image)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(RGB[:, :, ::-1], id="array"),
        pytest.param(np.dstack([RGB[:, :, ::-1], RGB[:, :, :1]]), id="with opacity"),
        pytest.param(RGB[:, :, ::-1] / 255, id="float64"),
        pytest.param(torch.from_numpy(RGB[:, :, ::-1].transpose(2, 0, 1).copy()), id="tensor"),
    ],
)
def test_the_channels_of_opencv_are_exchanged_where_the_caller_says_so(image: object) -> None:
    found = rgb_image(image, "bgr")
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, RGB)


def test_what_has_an_order_of_its_own_keeps_it() -> None:
    pillow: Any = pytest.importorskip("PIL.Image")
    np.testing.assert_array_equal(rgb_image(pillow.fromarray(RGB), "bgr"), RGB)
    np.testing.assert_array_equal(rgb_image(GREY[:, :, 0], "bgr"), GREY)


def test_an_order_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="order must be rgb or bgr, got 'rbg'"):
        rgb_image(RGB, "rbg")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "expected"), [("RGB", RGB), ("RGBA", RGB), ("L", GREY), ("1", WHITE), ("I", GREY), ("I;16", GREY)]
)
def test_an_image_of_pillow_is_converted(mode: str, expected: UInt8Array) -> None:
    pillow: Any = pytest.importorskip("PIL.Image")
    image = pillow.fromarray(expected)
    if mode != "RGB":
        image = image.convert("L").convert(mode) if expected is not RGB else image.convert(mode)
    np.testing.assert_array_equal(rgb_image(image), expected)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: RGB.transpose(2, 0, 1), r"the shape \(3, 6, 8\), channels first: transpose it by \(1, 2, 0\)"),
        (lambda: RGB[None], r"the shape \(1, 6, 8, 3\): give the images of a batch one by one"),
        (lambda: RGB[:, :, :2], r"the shape \(6, 8, 2\)"),
        (lambda: RGB[:0], r"the shape \(0, 8, 3\)"),
        (lambda: RGB[0, 0], r"the shape \(3,\)"),
        (lambda: RGB.astype(np.uint16) * 257, "0 to 255 in an image of uint16, found 0 to 65535"),
        (lambda: RGB.astype(np.float32), "0 to 1 in an image of float32, found 0 to 255"),
        (lambda: np.full((6, 8), np.nan), "0 to 1 in an image of float64, found nan to nan"),
        (lambda: RGB.astype(np.int16) - 128, "0 to 255 in an image of int16, found -128 to 127"),
        (lambda: RGB.astype(np.complex64), "an image of uint8, found complex64"),
        (lambda: RGB.astype(object), "an image of uint8, found object"),
        (lambda: "street.jpg", "found str"),
        (lambda: None, "found NoneType"),
        (lambda: [[1, 2], [3]], "found list"),
        (lambda: torch.zeros(6, 8, 3, dtype=torch.bfloat16), "found Tensor"),
        (lambda: torch.from_numpy(RGB[None]), r"the shape \(1, 6, 8, 3\): give the images of a batch one by one"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(make: Callable[[], object], found: str) -> None:
    with pytest.raises(InputError, match=f"^expected .*{found}"):
        rgb_image(make())


@given(arrays.arrays(st.one_of(arrays.scalar_dtypes()), arrays.array_shapes(min_dims=0, max_dims=5, min_side=0)))
def test_any_array_is_an_image_or_one_sentence(array: np.ndarray[Any, Any]) -> None:
    try:
        image = rgb_image(array)
    except InputError as refused:
        assert str(refused).startswith("expected ")
        assert len(str(refused)) < 300
    else:
        assert image.dtype == np.uint8
        assert image.shape == (*array.shape[:2], 3)
