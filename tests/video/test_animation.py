"""Image files that hold several pictures."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.video.source import open_source


def write_animation(path: Path, durations_ms: list[int]) -> list[int]:
    """Write grey pictures of 40x30 px, each shown for its time, and return their greys."""
    greys = [20 + 5 * k for k in range(len(durations_ms))]
    animation = cv2.Animation()
    animation.frames = [np.full((30, 40, 4), (grey, grey, grey, 255), np.uint8) for grey in greys]
    animation.durations = durations_ms
    written, content = cv2.imencodeanimation(path.suffix, animation, [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert written
    path.write_bytes(content.tobytes())
    return greys


@pytest.mark.parametrize(("suffix", "tolerance"), [(".webp", 0), (".png", 0), (".avif", 2)])
@pytest.mark.parametrize("count", [3, 16, 37])
def test_all_pictures_come_at_their_times(tmp_path: Path, suffix: str, tolerance: int, count: int) -> None:
    durations = [40, 100, *[40] * (count - 2)]
    path = tmp_path / f"a{suffix}"
    greys = write_animation(path, durations)
    with open_source(path) as source:
        assert (source.info.width, source.info.height) == (40, 30)
        assert source.info.frame_rate == 25
        frames = list(source)
    np.testing.assert_allclose([int(frame.image[5, 5, 0]) for frame in frames], greys, atol=tolerance)
    assert [frame.time for frame in frames] == [Fraction(sum(durations[:k]), 1000) for k in range(count)]


def test_a_clip_as_an_animation_has_its_pictures(data: Path) -> None:
    with open_source(data / "cases/video/anim.webp") as source:
        assert [frame.time for frame in source] == [Fraction(k, 10) for k in range(10)]
    with open_source(data / "cases/video/anim.webp") as source, open_source(data / "videos/vtest.avi") as same:
        difference = next(source).image.astype(int) - next(same).image
    assert np.abs(difference).mean() < 12


def test_the_limit_of_pixels_holds_for_an_animation(tmp_path: Path) -> None:
    write_animation(tmp_path / "a.webp", [40, 40])
    with pytest.raises(InputError, match=r".*a.webp announces 40 x 30 px, more than 1,199"):
        open_source(tmp_path / "a.webp", max_pixels=1199)


def test_a_still_image_is_no_animation(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.webp"), np.full((30, 40, 3), 99, np.uint8))
    with open_source(tmp_path / "a.webp") as source:
        assert source.info.frame_rate is None
        assert len(list(source)) == 1
