"""A scene opened like any other video."""

from fractions import Fraction

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.scene.scene import Scene
from streamdet.scene.settings import parse_scene_url
from streamdet.video.source import open_source

URL = "scene://street?seed=5&seconds=1/2&size=160x96&fps=30000/1001"


def test_a_scene_is_a_video() -> None:
    scene = Scene(parse_scene_url(URL))
    with open_source(URL) as source:
        info = source.info
        frames = list(source)
    assert (info.width, info.height, info.frame_rate, info.frame_count) == (160, 96, Fraction(30000, 1001), 14)
    assert not info.live and source.audio_from is None and source.id == URL
    assert [frame.index for frame in frames] == list(range(14))
    assert frames[13].time == 13 * Fraction(1001, 30000)
    np.testing.assert_array_equal(frames[13].image, scene.frame(13))


def test_stride_and_an_early_end() -> None:
    with open_source(URL, stride=5, max_frames=2) as source:
        assert [frame.index for frame in source] == [0, 5]
    with open_source(URL) as source:
        next(source)
        source.stop()
        assert list(source) == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("scene://street?wether=rain", "expected a setting of a scene, found 'wether'; did you mean 'weather'?"),
        ("scene://beach", "expected scene://street, the one scene there is, found 'scene://beach'"),
    ],
)
def test_a_wrong_url_is_an_input_error(url: str, sentence: str) -> None:
    with pytest.raises(InputError, match="^" + sentence.replace("?", r"\?") + "$"):
        open_source(url)


def test_no_gpu_decodes_a_scene() -> None:
    with pytest.raises(InputError, match="expected a video for a GPU to decode, found a scene to render at scene://"):
        open_source(URL, decode="cuda")
