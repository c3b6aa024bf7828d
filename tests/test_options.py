"""Options stated once: what a class refuses, and the keywords that a function has of it."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest

from streamdet import options
from streamdet.errors import InputError
from streamdet.fields import Options, help_texts, option_fields, takes
from streamdet.options import (
    DetectOptions,
    ModelOptions,
    RunOptions,
    SourceOptions,
    TrackerOptions,
    TrackKeywords,
    TrackOptions,
)
from streamdet.sinks.formats import TRACK_SINKS
from streamdet.video.location import RENDERERS
from trackers.config import TRACKERS

CLASSES = [each for each in vars(options).values() if isinstance(each, type) and issubclass(each, Options)]


@takes(TrackKeywords)
def track(source: str, options: TrackKeywords) -> Iterator[Any]:
    """Give back what was taken."""
    yield source
    yield options


class Machine:
    @takes(ModelOptions)
    def __init__(self, options: ModelOptions) -> None:
        self.options = options

    @takes(RunOptions)
    def run(self, source: str, options: RunOptions) -> tuple[str, RunOptions]:
        return source, options


def taken(**keywords: Any) -> TrackKeywords:
    source, found = track("a.mp4", **keywords)
    assert source == "a.mp4"
    assert isinstance(found, TrackKeywords)
    return found


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ModelOptions(batch=0), "batch must be at least 1, got 0"),
        (lambda: ModelOptions(wait_s=1.5), "wait_s must be between 0 and 1, got 1.5"),
        (lambda: ModelOptions(precision="double"), "precision must be auto, fp32 or half, got 'double'"),  # type: ignore[arg-type]
        (lambda: SourceOptions(every=0), "every must be at least 1, got 0"),
        (lambda: SourceOptions(every="all"), "every must be auto or a number, got 'all'"),  # type: ignore[arg-type]
        (lambda: SourceOptions(max_frames=0), "max_frames must be at least 1, got 0"),
        (lambda: SourceOptions(decode="gpu"), "decode must be auto, software or cuda, got 'gpu'"),  # type: ignore[arg-type]
        (lambda: DetectOptions(conf=-0.1), "conf must be between 0 and 1, got -0.1"),
        (lambda: DetectOptions(iou=float("nan")), "iou must be between 0 and 1, got nan"),
        (lambda: DetectOptions(max_det=0), "max_det must be at least 1, got 0"),
        (
            lambda: TrackerOptions(refine=True, state="ids.json"),
            "expected refine or state, found both: refined tracks have other ids",
        ),
    ],
)
def test_a_value_out_of_range_is_one_sentence(make: Callable[[], Options], sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        make()
    assert str(raised.value) == sentence


def test_the_ends_of_a_range_are_taken() -> None:
    assert ModelOptions(batch=1, wait_s=1).wait_s == 1
    assert DetectOptions(conf=0, iou=1, max_det=1).conf == 0
    assert SourceOptions(every="auto", max_frames=1).every == "auto"


@pytest.mark.parametrize("stated", CLASSES)
def test_every_field_has_a_help_of_its_own(stated: Any) -> None:
    assert help_texts(stated).keys() == {field.name for field in fields(stated)}
    assert all(text.endswith(".") for text in help_texts(stated).values())


def test_fields_come_in_the_order_of_the_classes() -> None:
    names = list(option_fields(TrackKeywords))
    assert names.index("model") < names.index("every") < names.index("classes") < names.index("tracker")
    assert names.index("classes") + 1 == names.index("conf")


def test_keywords_become_options() -> None:
    assert taken() == TrackKeywords()
    assert taken(model="yolov8n.pt", conf=0.5, every=3) == TrackKeywords(model="yolov8n.pt", conf=0.5, every=3)
    machine = Machine(device="cpu")
    assert machine.options == ModelOptions(device="cpu")
    assert machine.run(source="a.mp4", classes=["person"]) == ("a.mp4", RunOptions(classes=["person"]))  # type: ignore[call-arg]


def test_names_of_before_are_taken() -> None:
    old = taken(stride="auto", imgsz=320, half=True)
    assert old == TrackKeywords(every="auto", size=320, precision="half")
    assert taken(half=False) == TrackKeywords()


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"clases": ["person"]}, "unknown keyword 'clases'; did you mean 'classes'?"),
        ({"conf": 2}, "conf must be between 0 and 1, got 2"),
        ({"stride": 2, "every": 3}, "expected stride or every, found both"),
        ({"half": True, "precision": "fp32"}, "expected half or precision, found both"),
    ],
)
def test_a_wrong_keyword_is_one_sentence(keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        track("a.mp4", **keywords)
    assert str(raised.value) == sentence


def test_types_are_checked() -> None:
    """Each line below is refused by mypy, or its ``type: ignore`` would be."""
    with pytest.raises(InputError):
        track("a.mp4", cnf=0.5)  # type: ignore[call-arg]
    with pytest.raises(InputError):
        track("a.mp4", tracker=3)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        Machine(device=0)  # type: ignore[arg-type]
    track("a.mp4", stride=3)  # type: ignore[call-arg]
    track(3)  # type: ignore[arg-type]
    wrong: tuple[int, RunOptions] = Machine().run("a.mp4")  # type: ignore[assignment]
    assert wrong[1] == RunOptions()


def test_the_signature_and_the_docstring_tell_the_keywords() -> None:
    source, *shown = inspect.signature(track).parameters.values()
    assert source.name == "source"
    assert {each.name: each.default for each in shown} == {field.name: field.default for field in fields(TrackKeywords)}
    assert {each.kind for each in shown} == {inspect.Parameter.KEYWORD_ONLY}
    assert {each.name: each.annotation for each in shown}["conf"] is float
    assert inspect.signature(Machine.run).return_annotation == tuple[str, RunOptions]
    assert track.__doc__ is not None
    assert track.__doc__.startswith("Give back what was taken.\n")
    stated = track.__doc__.splitlines()[-len(shown) :]
    assert stated == [f"    {each.name}: {help_texts(TrackKeywords)[each.name]}" for each in shown]


def test_the_help_names_all_that_can_be_chosen() -> None:
    texts = help_texts(TrackOptions)
    assert [name for name in TRACKERS if name not in texts["tracker"]] == []
    assert [ending for ending in TRACK_SINKS if ending not in texts["tracks"]] == []
    assert [scheme for scheme in RENDERERS if scheme not in texts["sources"]] == []
