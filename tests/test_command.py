"""The command line that is derived from the option classes: its parameters, its help, what it takes and refuses."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any, get_args

import pytest
from cyclopts import App

from streamdet.cli.app import app, as_ours, run_command
from streamdet.cli.command import Command
from streamdet.cli.options import BenchOptions, ExportOptions, LabelOptions, TrainOptions, TuneOptions
from streamdet.errors import InputError
from streamdet.fields import PANELS, Field, choices, help_texts, option_fields
from streamdet.options import TrackOptions

REQUIRED = {
    "track": "a.mp4",
    "model info": "yolov8n",
    "model pull": "",
    "eval mot": "truth tracks",
    "eval det": "data.yaml",
    "tune": "truth --out tuned.yaml",
    "train": "",
    "label": "a.mp4 --out labelled",
    "scene": "--out street",
    "explain": "reasons.jsonl",
    "export": "yolov8n.pt",
    "bench": "",
    "demo": "",
    "serve": "",
}


def app_of(name: str) -> App:
    """The command that is called by these words."""
    place = app
    for word in name.split():
        place = place[word]
    return place


def command_of(name: str) -> Command:
    command = app_of(name).default_command
    assert isinstance(command, Command)
    return command


def parsed(name: str, words: str = "") -> Any:
    """The options that a command line gives, beside those that the command demands."""
    spoken = as_ours(f"{name} {REQUIRED[name]} {words}".split())
    command, bound, _ = app.parse_args(spoken, exit_on_error=False, print_error=False)
    assert isinstance(command, Command)
    return command.read(*bound.args, **bound.kwargs)


def refusal(words: str) -> str:
    """The sentence by which words are refused."""
    with pytest.raises(InputError) as raised:
        run_command(words.split())
    assert "\n" not in str(raised.value)
    return str(raised.value)


def told() -> Iterator[tuple[str, Field, str]]:
    """Every option of every command, with its name there."""
    for name in REQUIRED:
        for field in option_fields(command_of(name).options).values():
            if field.option and not field.option.positional:
                yield name, field, "--" + (field.option.name or field.name).replace("_", "-")


def test_every_command_but_doctor_is_here() -> None:
    def names(place: App, before: str = "") -> Iterator[str]:
        for word in place:
            if not word.startswith("-"):
                below = list(names(place[word], f"{before}{word} "))
                yield from below or [before + word]

    assert set(names(app)) == REQUIRED.keys() | {"doctor"}
    assert command_of("doctor").options is None


@pytest.mark.parametrize("name", REQUIRED)
def test_a_command_has_the_fields_of_its_class_and_no_other_options(name: str) -> None:
    arguments = app_of(name).assemble_argument_collection()
    stated = {field.name: field.option for field in option_fields(command_of(name).options).values() if field.option}
    flags = {option.flag for option in stated.values() if option.flag}
    assert {argument.field_info.name for argument in arguments} == stated.keys() | flags
    aliases = {alias.replace("_", "-") for option in stated.values() for alias in option.aliases}
    spelled = {word for argument in arguments for word in argument.names if word.startswith("-")}
    assert spelled == {each for of, _, each in told() if of == name} | {f"--{word}" for word in aliases | flags}


@pytest.mark.parametrize("name", REQUIRED)
def test_defaults_are_those_of_the_class(name: str) -> None:
    options = parsed(name)
    stated = option_fields(command_of(name).options).values()
    assert {field.name: getattr(options, field.name) for field in stated if field.default is not MISSING} == {
        field.name: field.default for field in stated if field.default is not MISSING
    }


def test_help_has_panels_with_the_options_of_the_fields(streamdet: Callable[..., str]) -> None:
    printed = streamdet("track", "--help", code=0)
    panels = [line.split()[1] for line in printed.splitlines() if line.startswith("╭")]
    assert panels == ["Source", "Model", "Tracker", "Output"]
    assert panels == [panel for panel in PANELS if panel in panels]
    by_panel = dict(zip(panels, printed.split("╭")[1:], strict=True))
    for field in option_fields(TrackOptions).values():
        if field.option and not field.option.positional:
            words = " ".join(by_panel[field.option.panel].replace("│", " ").split())
            assert f"--{(field.option.name or field.name).replace('_', '-')} " in words
            assert help_texts(TrackOptions)[field.name] in words
    assert "--every --stride --vid-stride INT|auto" in printed
    assert "[default: streamsort]" in printed
    assert "[default: 0.0]" in printed
    assert "Short for --precision half." in printed
    assert "[default: False]" not in printed
    assert "--debug" in printed


@pytest.mark.parametrize("name", ["train", "label", "eval det"])
def test_every_option_is_in_the_help_of_its_command(streamdet: Callable[..., str], name: str) -> None:
    printed = streamdet(*name.split(), "--help", code=0)
    assert all(option in printed for of, _, option in told() if of == name)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("track", "--stride 3", "--every 3"),
        ("track", "--stride auto", "--every auto"),
        ("track", "--half", "--precision half"),
        ("track", "--imgsz 320", "--size 320"),
        ("label", "--imgsz 384x640", "--size 384x640"),
        ("train", "--imgsz 320", "--size 320"),
        ("bench", "--imgsz 320,384x640", "--size 320,384x640"),
        ("track", "--conf 0.5 --conf 0.3", "--conf 0.3"),
        ("track", "--conf=0.3", "--conf 0.3"),
        ("track", "--show --show", "--show"),
        ("track", "--weights b.pt --vid-stride 3 --conf-thres 0.5", "--model b.pt --every 3 --conf 0.5"),
        ("track", "model=b.pt vid_stride=3 imgsz=320 half=True show=no", "--model b.pt --every 3 --size 320 --half"),
        ("track", "classes=person classes=car show=1", "--classes person,car --show"),
        ("train", "model=yolov8n imgsz=320 --set mosaic=0", "--model yolov8n --size 320 --set=mosaic=0"),
        ("export", "format=openvino nms=True", "--format openvino --nms"),
        ("track", "--classes person --classes car,dog", "--classes person,car,dog"),
        ("bench", "--size 320 --size 384x640", "--size 320,384x640"),
        ("tune", "--sequences a --sequences b", "--sequences a,b"),
    ],
)
def test_options_mean_what_they_meant(name: str, old: str, new: str) -> None:
    assert parsed(name, old) == parsed(name, new) != parsed(name)


def test_words_become_values() -> None:
    assert parsed("track", "--classes person,car --size 384x640 --every 2 --wait 0.02 --model a.pt") == TrackOptions(
        sources=("a.mp4",), classes=("person", "car"), size=(384, 640), every=2, wait_s=0.02, model=Path("a.pt")
    )
    assert parsed("track", "--tracks a.txt --out a.mp4 --tracks b.csv --out b.webm") == TrackOptions(
        sources=("a.mp4",), tracks=(Path("a.txt"), Path("b.csv")), out=(Path("a.mp4"), Path("b.webm"))
    )
    assert parsed("track", "b.mp4 --conf 0.5 c.mp4").sources == ("a.mp4", "b.mp4", "c.mp4")
    assert parsed("train", "data.yaml --set mosaic=0 --set lr0=0.1 --epochs 2") == TrainOptions(
        data=Path("data.yaml"), changes=("mosaic=0", "lr0=0.1"), epochs=2
    )
    assert parsed("label", "--every 5") == LabelOptions(source="a.mp4", out=Path("labelled"), every=5)
    assert parsed("tune", "--sequences a,b --half val --timeout 9.5") == TuneOptions(
        sources=("truth",), out=Path("tuned.yaml"), sequences=("a", "b"), half="val", timeout_s=9.5
    )
    assert parsed("export", "--format openvino --nms") == ExportOptions(
        model=Path("yolov8n.pt"), file_format="openvino", nms=True
    )
    assert parsed("bench", "noise.mp4 --size 320,64x96") == BenchOptions(source="noise.mp4", sizes=(320, (64, 96)))


def test_arguments_without_a_name_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "--source b.mp4 --show --source=c.mp4 source=d=e.mp4 -- source=f.mp4"
    assert parsed("track", words).sources == ("a.mp4", "b.mp4", "c.mp4", "d=e.mp4", "source=f.mp4")
    assert parsed("train", "data=own.yaml epochs=3") == TrainOptions(data=Path("own.yaml"), epochs=3)
    Path("take=3.mp4").touch()
    assert parsed("track", "take=3.mp4").sources == ("a.mp4", "take=3.mp4")


def beside_ranges() -> Iterator[tuple[str, str, float]]:
    """Numbers below and above what an option takes."""
    for name, field, option in told():
        if field.limits:
            yield name, option, field.limits.low - 1
            if field.limits.high is not None:
                yield name, option, field.limits.high + 1


@pytest.mark.parametrize(("name", "option", "value"), [*beside_ranges()])
def test_a_value_out_of_its_range_is_one_sentence(name: str, option: str, value: float) -> None:
    expected, found = refusal(f"{name} {REQUIRED[name]} {option} {value}").split(", got ")
    assert expected.startswith(f"{option} must be ")
    assert float(found.strip("'")) == value


@pytest.mark.parametrize(
    ("name", "option", "kind"), [(name, option, field.type) for name, field, option in told() if field.type is not bool]
)
def test_a_word_of_another_kind_is_one_sentence(name: str, option: str, kind: Any) -> None:
    kinds = {kind, *get_args(kind)}
    if choices(kind) or (kinds & {int, float} and str not in kinds):
        assert refusal(f"{name} {REQUIRED[name]} {option} many").startswith(f"{option} must be ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("track", "expected SOURCE, found none: streamdet track --help tells what it is"),
        ("label a.mp4", "expected --out, found none: streamdet label --help tells what it is"),
        ("eval mot truth", "expected TRACKS, found none: streamdet eval mot --help tells what it is"),
        ("trck a.mp4", "unknown command trck; did you mean 'track'?"),
        ("eval all", "unknown command all; known: det, mot"),
        ("--verson", "unknown option --verson; did you mean '--version'?"),
        ("track a.mp4 --clases person", "unknown option --clases; did you mean '--classes'?"),
        ("track a.mp4 --clases=person", "unknown option --clases; did you mean '--classes'?"),
        ("label a.mp4 --out b --no-reid", "unknown option --no-reid"),
        ("demo -p 3", "unknown option -p; did you mean '--port'?"),
        ("demo -h", "unknown option -h; did you mean '--host'?"),
        ("export a.pt --no-half", "unknown option --no-half; did you mean '--half'?"),
        ("demo page", "unexpected argument page"),
        ("track a.mp4 --conf", "expected a value after --conf"),
        ("track a.mp4 --conf --show", "expected a value after --conf"),
        ("track a.mp4 --show=3", "--show stands alone, got '3'"),
        ("track a.mp4 --conf much", "--conf must be a number, got 'much'"),
        ("track a.mp4 --batch 1.5", "--batch must be a whole number, got '1.5'"),
        ("track a.mp4 show=3", "--show stands alone, got '3'"),
        ("track a.mp4 clases=person", "unknown option --clases; did you mean '--classes'?"),
        ("track a.mp4 --save-txt", "unknown option --save-txt; here it is --tracks: tracks to write: .txt (MOT), "),
        ("track a.mp4 save_txt=True", "unknown option --save-txt; here it is --tracks: tracks to write: .txt (MOT), "),
        ("track a.mp4 --project runs --name x", "unknown option --project; here it is --out: video to write: .mp4, "),
        ("track a.mp4 --name=x", "unknown option --name; here it is --out: video to write: .mp4, "),
        ("track a.mp4 --save-crop", "unknown option --save-crop; here it is --crops: folder for the best crop of each"),
        ("track a.mp4 exist_ok=True", "unknown option --exist-ok; here it is --overwrite: replace results that exist"),
        ("track a.mp4 --stride 0", "--stride must be auto or a whole number from 1, got '0'"),
        ("track a.mp4 --decode gpu", "--decode must be auto, software or cuda, got 'gpu'"),
        ("label a.mp4 --out b --conf 1.5", "--conf must be between 0 and 1, got 1.5"),
        ("track a.mp4 --half --precision fp32", "expected precision or half, found both"),
        (
            "track a.mp4 --refine --explain a.jsonl",
            "expected --refine or --explain, found both: refined tracks have other ids",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(words: str, sentence: str) -> None:
    assert refusal(words).startswith(sentence)


@pytest.mark.parametrize("words", [["--debug", "explain", "none"], ["explain", "--debug", "none"]])
def test_debug_stands_anywhere(streamdet: Callable[..., str], words: list[str]) -> None:
    printed = streamdet(*words, code=2)
    assert "Traceback" in printed
    assert printed.endswith("error: cannot read none: No such file or directory\n")


@pytest.mark.parametrize("words", [["eval"], ["model"]])
def test_without_a_command_help_is_shown(streamdet: Callable[..., str], words: list[str]) -> None:
    assert streamdet(*words, code=2) == streamdet(*words, "--help", code=0)


def test_a_bare_call_shows_examples_that_work(streamdet: Callable[..., str]) -> None:
    printed = streamdet(code=2)
    lines = [line.split() for line in printed.splitlines() if line.startswith("    ")]
    assert len(lines) == 3
    assert all(words[0] == "streamdet" for words in lines)
    options = [
        command_of("track").read(*bound.args, **bound.kwargs)
        for bound in (app.parse_args(words[1:], exit_on_error=False, print_error=False)[1] for words in lines)
    ]
    assert [each.sources for each in options] == [("street.mp4",), ("0",), ("videos",)]


@pytest.mark.parametrize("words", [[], ["track"]])
def test_help_tells_exit_codes_and_signals(streamdet: Callable[..., str], words: list[str]) -> None:
    printed = " ".join(streamdet(*words, "--help", code=0).split())
    assert all(
        f"{code} by {signal}" in printed for code, signal in ((130, "Ctrl-C"), (143, "SIGTERM"), (129, "SIGHUP"))
    )
    assert all(word in printed for word in ("0 done", "1 failed", "2 wrong input", "75 a training", "SIGPIPE"))


@pytest.mark.parametrize(("shell", "file"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_completion_is_one_line(
    streamdet: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, file: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    streamdet("--install-completion", "--shell", shell, code=0)
    assert "streamdet" in (tmp_path / file).read_text()
    (script,) = [path for path in tmp_path.rglob("*streamdet*") if path.is_file()]
    assert all(word in script.read_text() for word in ("track", "--vid-stride", "--skip-existing", "doctor"))


def test_the_version_is_told(streamdet: Callable[..., str]) -> None:
    from streamdet import __version__

    assert streamdet("--version", code=0) == f"streamdet {__version__}\n"


def test_an_interrupt_exits_with_130(streamdet: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("streamdet.cli.demo.serve", interrupted)
    streamdet("demo", "--port", 0, code=130)


def test_the_signature_is_that_of_the_class() -> None:
    shown = command_of("track").__signature__.parameters
    assert shown["sources"].kind is inspect.Parameter.VAR_POSITIONAL
    assert {each.kind for name, each in shown.items() if name != "sources"} == {inspect.Parameter.KEYWORD_ONLY}
