"""What a scene's URL may say, and the sentence for what it may not."""

from fractions import Fraction

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.scene.settings import SceneSettings, parse_scene_url


def test_a_full_url() -> None:
    url = "scene://street?seed=7&seconds=2.5&size=640x360&fps=30000/1001&time=dusk&weather=rain&camera=pan&crowd=12"
    assert parse_scene_url(url) == SceneSettings(
        7, Fraction(5, 2), Fraction(30000, 1001), (640, 360), "dusk", "rain", "pan", "12"
    )


def test_what_is_not_said() -> None:
    settings = parse_scene_url("scene://street")
    assert (settings.seed, settings.size) == (0, (768, 432))
    assert (float(settings.seconds), float(settings.fps)) == (10, 25)
    assert (settings.time, settings.weather, settings.camera, settings.crowd) == ("day", "clear", "fixed", "some")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("scene://stret?seed=1", "expected scene://street, the one scene there is, found 'scene://stret?seed=1'"),
        ("scene://street?sed=1", "expected a setting of a scene, found 'sed'; did you mean 'seed'?"),
        ("scene://street?seed=1&seed=2", "expected every setting of a scene once, found 'seed' twice"),
        ("scene://street?seed=-1", "expected a whole number of 0 or more for seed, found '-1'"),
        ("scene://street?seed=", "expected a whole number of 0 or more for seed, found ''"),
        ("scene://street?seconds=0", "expected a number above 0 and at most 120 for seconds, found '0'"),
        ("scene://street?seconds=nan", "expected a number above 0 and at most 120 for seconds, found 'nan'"),
        ("scene://street?fps=1/0", "expected a number above 0 and at most 240 for fps, found '1/0'"),
        ("scene://street?size=768", "expected WIDTHxHEIGHT of 64 to 4096 px for size, such as 768x432, found '768'"),
        ("scene://street?size=8x8", "expected WIDTHxHEIGHT of 64 to 4096 px for size, such as 768x432, found '8x8'"),
        (
            "scene://street?weather=rainy",
            "expected clear, rain, snow, fog, any for weather, found 'rainy'; did you mean 'rain'?",
        ),
        (
            "scene://street?crowd=501",
            "expected few, some, many, any, or a number up to 500 for crowd, found '501'; known: any, few, many, some",
        ),
    ],
)
def test_a_wrong_url_gets_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse_scene_url(url)
    assert str(error.value) == sentence


def test_any_is_drawn_and_the_rest_is_kept() -> None:
    settings = SceneSettings(time="any", weather="any", camera="pan", crowd="3")
    drawn = [settings.drawn(np.random.default_rng(seed)) for seed in range(40)]
    assert {one.time for one in drawn} == {"day", "dusk", "night"}
    assert {one.weather for one in drawn} == {"clear", "rain", "snow", "fog"}
    assert {(one.camera, one.crowd) for one in drawn} == {("pan", "3")}
