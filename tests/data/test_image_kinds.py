"""Image files of many kinds have the right size and colours, and stand upright."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from streamdet.data.image_header import announced_hw
from streamdet.data.images import decoded_or_problem, image_or_problem
from streamdet.errors import MissingExtraError
from streamdet.types import UInt8Array
from streamdet.video.source import open_source
from tests.data.heif_files import corners, heic, quarters

PICTURE = quarters(98, 150)
GREY = np.asarray(PIL.Image.fromarray(PICTURE).convert("L"))
EXACT, LOSSY = 1, 4  # of 255
ORIENTATION = 0x0112  # of EXIF and TIFF


def pillow(image: UInt8Array, mode: str, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).convert(mode).save(file, kind, **options)
    return file.getvalue()


def opencv(image: npt.NDArray[Any], kind: str, *options: int) -> bytes:
    if image.ndim == 3:
        image = image[:, :, [2, 1, 0, 3][: image.shape[2]]]
    return cv2.imencode(kind, image, options)[1].tobytes()


def with_opacity() -> UInt8Array:
    opacity = np.full((*PICTURE.shape[:2], 1), 255, np.uint8)
    opacity[40:60, 40:60] = 0
    return np.dstack([PICTURE, opacity])


def palette(**options: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(with_opacity()).quantize(16).save(file, "PNG", **options)
    return file.getvalue()


COLOURS: dict[str, tuple[Callable[[], bytes], int]] = {
    "png with opacity": (lambda: opencv(with_opacity(), ".png"), EXACT),
    "png with a palette and opacity": (palette, EXACT),
    "png of 16 bits": (lambda: opencv(PICTURE.astype(np.uint16) * 257, ".png"), EXACT),
    "png of 16 bits with opacity": (lambda: opencv(with_opacity().astype(np.uint16) * 257, ".png"), EXACT),
    "cmyk jpeg": (lambda: pillow(PICTURE, "CMYK", "JPEG", quality=98), LOSSY),
    "webp with opacity": (lambda: pillow(with_opacity(), "RGBA", "WEBP", lossless=True, exact=True), EXACT),
    "avif": (lambda: pillow(PICTURE, "RGB", "AVIF", quality=98), LOSSY),
    "avif with opacity": (lambda: pillow(with_opacity(), "RGBA", "AVIF", quality=98), LOSSY),
    "avif of 10 bits": (lambda: opencv(PICTURE.astype(np.uint16) * 4, ".avif", cv2.IMWRITE_AVIF_DEPTH, 10), LOSSY),
    "heic": (lambda: heic(PICTURE[:96, :144]), LOSSY),
    "heic of a phone": (lambda: heic(PICTURE, tile=64), LOSSY),
    "jpeg 2000": (lambda: pillow(PICTURE, "RGB", "JPEG2000"), EXACT),
    "code stream of jpeg 2000": (lambda: pillow(PICTURE, "RGB", "JPEG2000", no_jp2=True), EXACT),
    "ppm": (lambda: opencv(PICTURE, ".ppm"), EXACT),
    "ppm of 16 bits": (lambda: opencv(PICTURE.astype(np.uint16) * 257, ".ppm"), EXACT),
    "pfm": (lambda: opencv(PICTURE.astype(np.float32) / 255, ".pfm"), EXACT),
    "tiff": (lambda: pillow(PICTURE, "RGB", "TIFF", compression="tiff_lzw"), EXACT),
    "cmyk tiff": (lambda: pillow(PICTURE, "CMYK", "TIFF"), EXACT),
    "bigtiff": (lambda: pillow(PICTURE, "RGB", "TIFF", big_tiff=True), EXACT),
    "tiff of 16 bits": (lambda: opencv(PICTURE.astype(np.uint16) * 257, ".tif"), EXACT),
    "tiff of floats": (lambda: opencv(PICTURE.astype(np.float32) / 255, ".tif"), EXACT),
}
GREYS: dict[str, Callable[[], bytes]] = {
    "png with opacity": lambda: pillow(with_opacity(), "LA", "PNG"),
    "png of 16 bits": lambda: opencv(GREY.astype(np.uint16) * 257, ".png"),
    "pgm": lambda: opencv(GREY, ".pgm"),
    "tiff": lambda: pillow(PICTURE, "L", "TIFF"),
    "tiff of floats": lambda: opencv(GREY.astype(np.float32) / 255, ".tif"),
    "jpeg 2000": lambda: pillow(PICTURE, "L", "JPEG2000"),
}


@pytest.mark.parametrize("kind", COLOURS)
def test_every_kind_has_its_size_and_colours(kind: str) -> None:
    make, tolerance = COLOURS[kind]
    content = make()
    image = decoded_or_problem(content)
    assert isinstance(image, np.ndarray)
    expected = PICTURE if image.shape == PICTURE.shape else PICTURE[:96, :144]
    assert (image.shape, image.dtype.name) == (expected.shape, "uint8")
    assert announced_hw(content) == expected.shape[:2]
    np.testing.assert_allclose(corners(image), corners(PICTURE), atol=tolerance)


@pytest.mark.parametrize("kind", GREYS)
def test_a_grey_picture_has_three_equal_channels(kind: str) -> None:
    image = decoded_or_problem(GREYS[kind]())
    assert isinstance(image, np.ndarray)
    np.testing.assert_allclose(corners(image), corners(np.repeat(GREY[:, :, None], 3, 2)), atol=EXACT)


def test_a_picture_of_one_bit_is_black_and_white() -> None:
    content = pillow(np.repeat(PICTURE[:, :, :1] // 128 * 255, 3, 2), "1", "PPM")
    assert corners(np.asarray(decoded_or_problem(content))) == [[255] * 3, [0] * 3, [0] * 3, [255] * 3]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_every_orientation_stands_upright(kind: str, orientation: int) -> None:
    """Pillow writes the orientation, and turns a picture by itself: in AVIF it is no EXIF data."""
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    extra = {"tiffinfo": {ORIENTATION: orientation}} if kind == "TIFF" else {"exif": exif}
    image = decoded_or_problem(pillow(PICTURE, "RGB", kind, quality=98, **extra))
    assert isinstance(image, np.ndarray)
    order = {
        1: (0, 1, 2, 3), 2: (1, 0, 3, 2), 3: (3, 2, 1, 0), 4: (2, 3, 0, 1),
        5: (0, 2, 1, 3), 6: (2, 0, 3, 1), 7: (3, 1, 2, 0), 8: (1, 3, 0, 2),
    }[orientation]  # fmt: skip
    assert image.shape[:2] == ((98, 150) if orientation <= 4 else (150, 98))
    np.testing.assert_allclose(corners(image), [corners(PICTURE)[k] for k in order], atol=LOSSY)


@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize(
    ("turns", "mirrored", "order"),
    [
        (1, None, (1, 3, 0, 2)),
        (2, None, (3, 2, 1, 0)),
        (3, None, (2, 0, 3, 1)),
        (0, 0, (2, 3, 0, 1)),
        (0, 1, (1, 0, 3, 2)),
        (1, 1, (3, 1, 2, 0)),
    ],
)
def test_a_photo_of_a_phone_stands_upright(tile: int, turns: int, mirrored: int | None, order: tuple[int, ...]) -> None:
    image = decoded_or_problem(heic(quarters(96, 144), tile=tile, turns=turns, mirrored=mirrored))
    assert isinstance(image, np.ndarray)
    assert image.shape[:2] == ((144, 96) if turns % 2 else (96, 144))
    np.testing.assert_allclose(corners(image), [corners(PICTURE)[k] for k in order], atol=LOSSY)


@pytest.mark.parametrize("kind", ["avif", "heic of a phone", "jpeg 2000", "ppm", "pfm", "tiff", "bigtiff"])
def test_too_many_pixels_are_refused_before_they_are_decoded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = COLOURS[kind][0]()
    monkeypatch.setattr("streamdet.data.images._decoded", lambda content: pytest.fail("was decoded"))
    assert decoded_or_problem(content, 98 * 150 - 1) == "announces 150 x 98 px, more than 14,699"


@pytest.mark.parametrize("kind", ["avif", "heic of a phone", "jpeg 2000", "ppm", "pfm", "tiff", "bigtiff"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
def test_a_file_that_was_cut_off_is_broken(kind: str, share: float) -> None:
    content = COLOURS[kind][0]()
    problem = decoded_or_problem(content[: int(share * len(content))])
    assert isinstance(problem, str)
    assert problem in ("ends early", "cannot be decoded")


def test_floats_of_another_range_are_not_taken_for_black_and_white() -> None:
    assert decoded_or_problem(opencv(PICTURE.astype(np.float32), ".pfm")) == "cannot be decoded"


def test_a_heic_by_another_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(heic(quarters(96, 144)))
    assert isinstance(image_or_problem(tmp_path / "a.jpg"), np.ndarray)


def test_without_its_library_a_heic_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(opencv(PICTURE, ".jpg"))
    (tmp_path / "b.HEIC").write_bytes(heic(quarters(96, 144)))
    with open_source(tmp_path) as source:
        assert [frame.image.shape for frame in source] == [(98, 150, 3), (96, 144, 3)]
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    for path in (tmp_path, tmp_path / "b.HEIC"):
        with pytest.raises(MissingExtraError, match=r"^pi-heif is not installed; add .*'streamdet\[heic\]'$"):
            open_source(path)
