"""Images that a caller has, in every form, are the frames of a source."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from streamdet.errors import InputError
from streamdet.types import UInt8Array
from streamdet.video.location import Given
from streamdet.video.source import open_source

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), np.uint8)


def pillow(image: UInt8Array) -> Any:
    module: Any = pytest.importorskip("PIL.Image")
    return module.fromarray(image)


def write_files(folder: Path) -> list[Path]:
    paths = [folder / f"{'ab'[k // 2]}{k}.png" for k in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        path.write_bytes(cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())
    return paths


def images_of(source: Given, **options: Any) -> UInt8Array:
    with open_source(source, **options) as frames:
        return np.stack([frame.image for frame in frames])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: IMAGES, id="batch"),
        pytest.param(lambda: list(IMAGES), id="list"),
        pytest.param(lambda: tuple(IMAGES / 255), id="tuple of floats"),
        pytest.param(lambda: iter(IMAGES), id="iterator"),
        pytest.param(lambda: [pillow(image) for image in IMAGES], id="list of Pillow's images"),
        pytest.param(lambda: torch.from_numpy(IMAGES), id="tensor"),
        pytest.param(lambda: torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255, id="tensor with channels in front"),
    ],
)
def test_many_images_are_a_video(make: Callable[[], Given]) -> None:
    np.testing.assert_array_equal(images_of(make()), IMAGES)


@pytest.mark.parametrize("make", [np.array, pillow, torch.from_numpy, lambda image: [image]])
def test_one_image_is_a_video_of_one_frame(make: Callable[[UInt8Array], Given]) -> None:
    source = open_source(make(IMAGES[0]))
    assert (source.info.frame_count, source.info.width, source.info.height) == (1, 8, 6)
    (frame,) = source
    np.testing.assert_array_equal(frame.image, IMAGES[0])
    assert source.warnings == []


def test_files_and_patterns_may_be_listed(tmp_path: Path) -> None:
    paths = write_files(tmp_path)
    np.testing.assert_array_equal(images_of(paths), IMAGES)
    np.testing.assert_array_equal(images_of([str(tmp_path / "b*.png"), str(paths[0])]), IMAGES[[2, 3, 0]])
    np.testing.assert_array_equal(images_of(iter(paths)), IMAGES)
    assert open_source(paths).id == f"{paths[0]} and 3 more"


def test_the_caller_says_that_arrays_are_those_of_opencv() -> None:
    np.testing.assert_array_equal(images_of(IMAGES[..., ::-1], order="bgr"), IMAGES)
    np.testing.assert_array_equal(images_of(iter(IMAGES[..., ::-1]), order="bgr"), IMAGES)


def test_a_rate_tells_the_times() -> None:
    with open_source(iter(IMAGES), fps=12.5, every=2) as source:
        assert (source.info.frame_rate, source.info.frame_count, source.info.live) == (Fraction(25, 2), None, False)
        assert [(frame.index, frame.time) for frame in source] == [(0, 0), (2, Fraction(4, 25))]
        assert source.warnings == []


def test_without_a_rate_one_is_assumed_and_told() -> None:
    with open_source(IMAGES) as source:
        assert (source.info.frame_rate, source.info.frame_count) == (None, 4)
        assert [frame.time for frame in source] == [Fraction(k, 30) for k in range(4)]
        assert source.warnings == ["images are shown at 30 Hz; fps tells their true rate"]


def test_an_array_may_be_used_again_for_the_next_image() -> None:
    def refilled() -> Iterator[UInt8Array]:
        buffer = np.zeros((6, 8, 3), np.uint8)
        for image in IMAGES:
            buffer[:] = image
            yield buffer

    np.testing.assert_array_equal(images_of(refilled()), IMAGES)


def test_an_error_of_the_iterator_comes_as_it_is() -> None:
    def failing() -> Iterator[UInt8Array]:
        yield IMAGES[0]
        raise KeyError("a camera of the caller")

    source = open_source(failing())
    assert next(source).index == 0
    with pytest.raises(KeyError, match="a camera of the caller"):
        next(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            None,
            "expected a path, a URL, the number of a webcam, images, or an object that yields frames, found NoneType",
        ),
        (0.5, "expected a path, .* found float"),
        (b"a.mp4", "expected a path, .* found bytes"),
        ({"a.png": 1}, "expected a path, .* found dict"),
        ([], "expected images, found none in an empty list"),
        (np.zeros((0, 6, 8, 3), np.uint8), "expected images, found none in an empty ndarray"),
        (IMAGES[0].tolist(), r"expected an image as an array \(H, W, 3\), found list"),
        (IMAGES[0].transpose(2, 0, 1), r"found the shape \(3, 6, 8\), channels first"),
        (np.zeros((4, 6, 8, 2), np.uint8), r"expected an image .* found the shape \(6, 8, 2\)"),
        (IMAGES[None], r"expected an image .* found the shape \(1, 4, 6, 8, 3\)"),
        ([0, 1], r"expected an image \(H, W, 3\), .* found int"),
        (["missing.png"], "found nothing at 'missing.png'"),
        (iter(["missing.png"]), "expected an image, but 'missing.png' cannot be read: no such file"),
    ],
)
def test_what_is_no_image_is_one_sentence(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(source)


def test_a_list_of_videos_is_told_what_to_use(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"expected a list of images, found '.*a.mp4', which Pipeline.runs tracks"):
        open_source([tmp_path / "a.mp4"])


def test_an_order_for_files_and_a_gpu_for_arrays_are_refused(tmp_path: Path) -> None:
    (path, *_) = write_files(tmp_path)
    with pytest.raises(InputError, match=r"expected arrays for order 'bgr', found .*, whose colours are known"):
        open_source(path, order="bgr")
    with pytest.raises(InputError, match="expected a video for a GPU to decode, found images"):
        open_source(IMAGES, decode="cuda")
