"""Names and numbers on the command line that nothing can have: one sentence, exit code 2, and nothing is emptied."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streamdet.errors import InputError, shown
from streamdet.files import replacing
from streamdet.tracking.state import read_state
from streamdet.video.location import Webcam, locate
from tests.pipeline.fakes import write_clip

ROOT = Path(__file__).resolve().parents[1]
LONG, BYTES = "a" * 300, "b\udcff"

Streamdet = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", 3)
    (tmp_path / "earlier.txt").write_text("earlier")
    return tmp_path


def refused(streamdet: Streamdet, folder: Path, *words: object) -> str:
    """Return the sentence with which a command refuses its input, without having changed a file."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    sentence = streamdet(*words, code=2).removeprefix("error: ")
    assert sentence.count("\n") == 1
    assert "unexpected" not in sentence
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return sentence


@pytest.mark.parametrize("option", ["--out", "--tracks", "--explain", "--state", "--tracker", "--reid", "--truth"])
def test_a_name_that_is_too_long(streamdet: Streamdet, folder: Path, tiny_weights: Path, option: str) -> None:
    name = {"--out": f"{LONG}.mp4", "--tracks": f"{LONG}.txt", "--explain": f"{LONG}.jsonl", "--reid": f"{LONG}.onnx"}
    others = ["--tracks", "earlier.txt"] if option != "--tracks" else []
    words = ["track", "clip.mp4", "--model", tiny_weights, *others, option, name.get(option, LONG)]
    assert "File name too long" in refused(streamdet, folder, *words)


@pytest.mark.parametrize(
    "words",
    [
        ["track", f"{LONG}.mp4", "--model", "x.pt"],
        ["track", "clip.mp4", "--model", LONG],
        ["label", f"{LONG}.mp4", "--out", "labels", "--model", "MODEL"],
        ["label", "clip.mp4", "--out", LONG, "--model", "MODEL"],
        ["bench", f"{LONG}.mp4", "--model", "MODEL"],
        ["explain", f"{LONG}.jsonl"],
        ["export", f"{LONG}.pt"],
        ["export", "MODEL", "--out", f"{LONG}.onnx"],
        ["model", "info", f"{LONG}.yaml"],
        ["train", LONG, "--check"],
        ["eval", "mot", LONG, LONG],
        ["tune", LONG, "--out", "x.yaml"],
    ],
    ids=" ".join,
)
def test_a_long_name_in_any_command(streamdet: Streamdet, folder: Path, tiny_weights: Path, words: list[str]) -> None:
    refused(streamdet, folder, *(tiny_weights if word == "MODEL" else word for word in words))


@pytest.mark.parametrize("option", ["--out", "--tracks", "--explain", "--state", "--tracker", "--reid", "--model"])
def test_bytes_that_are_no_text(streamdet: Streamdet, folder: Path, tiny_weights: Path, option: str) -> None:
    model = [] if option == "--model" else ["--model", tiny_weights]
    sentence = refused(streamdet, folder, "track", "clip.mp4", *model, option, f"{BYTES}/x")
    assert r"b\udcff" in sentence or "are written as" in sentence or "ending in" in sentence


def test_a_file_whose_name_is_no_text_is_read_and_written(folder: Path, tiny_weights: Path) -> None:
    try:
        (folder / "clip.mp4").rename(folder / f"{BYTES}.mp4")
    except OSError:
        pytest.skip("needs a file system whose names are bytes")
    outputs = ["--out", f"{BYTES}2.mp4", "--tracks", f"{BYTES}.jsonl", "--explain", f"{BYTES}2.jsonl"]
    command = [sys.executable, "-m", "streamdet", "track", f"{BYTES}.mp4", "--model", str(tiny_weights), *outputs]
    run = subprocess.run([*command, "--imgsz", "64"], env=environment(), capture_output=True, check=True, text=True)
    assert r"wrote b\udcff2.mp4" in run.stderr
    explain = [sys.executable, "-m", "streamdet", "explain", f"{BYTES}2.jsonl"]
    told = subprocess.run(explain, env=environment(), capture_output=True, check=True, text=True)
    assert "ids in b?.mp4" in told.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    ("option", "number"),
    [
        ("--max-frames", "1e22"),
        ("--max-frames", "1" + 22 * "0"),
        ("--max-frames", 5000 * "9"),
        ("--max-frames", 4000 * "9"),
        ("--stride", 5000 * "9"),
        ("--imgsz", 5000 * "9"),
        ("--imgsz", "32x" + 25 * "9"),
        ("--batch", 4000 * "9"),
        ("--conf", 5000 * "9"),
    ],
)
def test_a_number_that_is_too_large(streamdet: Streamdet, folder: Path, option: str, number: str) -> None:
    sentence = refused(streamdet, folder, "track", "clip.mp4", "--model", "x.pt", option, number)
    assert sentence.startswith(f"{option} must be ")
    assert len(sentence) < 200


def test_a_webcam_has_a_number_of_some_digits(streamdet: Streamdet, folder: Path) -> None:
    refused(streamdet, folder, "track", 5000 * "9", "--model", "x.pt")
    with pytest.raises(InputError, match="found nothing at '999"):
        locate(100 * "9")
    assert isinstance(locate("12"), Webcam)


def test_a_value_is_shown_in_eighty_characters() -> None:
    assert shown("it's\x1b") == '"it\'s\\x1b"'
    assert shown(200 * "a") == "'" + 37 * "a" + "..." + 38 * "a" + "'"
    assert shown(10**100) == "1" + 37 * "0" + "..." + 39 * "0"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device")
def test_a_device_is_no_state_and_is_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "state"
    link.symlink_to("/dev/full")
    with pytest.raises(InputError, match="found a device"):
        read_state(link)
    with pytest.raises(OSError, match="it is a device"), replacing(link) as partial:
        partial.write_text("state")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert link.is_symlink()


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError()",
        "ValueError('std::bad_alloc')",
        "RuntimeError('[enforce fail] can\\'t allocate memory: 9 bytes')",
    ],
)
def test_too_little_memory_is_called_that(
    streamdet: Streamdet, folder: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        try:
            raise eval(error)
        except Exception:
            raise InputError("expected a model, found a broken one") from None

    monkeypatch.setattr("streamdet.pipeline.pipeline.load_session", fails)
    printed = streamdet("track", "clip.mp4", "--model", "x.pt", code=1)
    assert printed.startswith("error: expected enough memory, found too little: ")
    assert "broken" not in printed


def test_the_command_runs_without_docstrings_and_assertions(folder: Path, tiny_weights: Path) -> None:
    command = [sys.executable, "-OO", "-m", "streamdet", "track", "clip.mp4", "--model", str(tiny_weights)]
    options = ["--imgsz", "64", "--tracks", "t.jsonl"]
    subprocess.run([*command, *options], env=environment(), check=True, capture_output=True)
    assert (folder / "t.jsonl").read_text().count("\n") == 1 + 3  # a header, and the frames
