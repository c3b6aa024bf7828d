"""What is there already: no result is replaced unasked, and what an earlier run has not finished is done again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from streamdet.cli.outputs import Outputs
from streamdet.cli.places import Places
from streamdet.result import Result
from tests.pipeline.fakes import write_clip

Streamdet = Callable[..., str]


@pytest.fixture
def track(streamdet: Streamdet, tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Streamdet:
    """Track a clip of five frames, or other sources; the current folder has three clips."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        write_clip(Path(name), 5)
    model = ["--model", tiny_weights, "--imgsz", 64, "--device", "cpu"]
    return lambda *words, code=0: streamdet("track", *words, *model, code=code)


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def interrupt_in_frame(monkeypatch: pytest.MonkeyPatch, index: int, name: str) -> None:
    """Let Ctrl-C come when the results of frame `index` of the file `name` have been written."""

    def write_and_raise(outputs: Outputs, result: Result) -> bool:
        more = write(outputs, result)
        if result.frame.index == index and result.frame.source_id == name:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)  # discards what is in flight
        return more

    write = Outputs.write
    monkeypatch.setattr(Outputs, "write", write_and_raise)


@pytest.mark.parametrize("option", ["--out o.mp4", "--tracks t.txt", "--explain e.jsonl"])
def test_without_a_terminal_what_exists_is_not_replaced(track: Streamdet, option: str) -> None:
    path = Path(option.split()[1])
    path.write_text("earlier")
    printed = track("a.mp4", *option.split(), code=2)
    assert printed == (
        f"error: expected new files for the results, but {path} exists; "
        "--overwrite replaces it, --skip-existing keeps it\n"
    )
    assert path.read_text() == "earlier"
    track("a.mp4", *option.split(), "--overwrite")
    assert not path.read_bytes().startswith(b"earlier")


def test_several_results_that_exist_are_one_sentence(track: Streamdet) -> None:
    track("a.mp4", "b.mp4", "--out", "results")
    before = Path("results/b.txt").stat().st_mtime_ns
    assert "but 4 such as results/a.mp4 exist; --overwrite replaces them" in track(
        "a.mp4", "b.mp4", "--out", "results", code=2
    )
    assert Path("results/b.txt").stat().st_mtime_ns == before
    track("a.mp4", "b.mp4", "--out", "results", "--overwrite")
    assert Path("results/b.txt").stat().st_mtime_ns > before


def test_a_person_is_asked(track: Streamdet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(question: str) -> bool:
        asked.append(question)
        return len(asked) == 2

    monkeypatch.setattr("streamdet.cli.places.agreed", answer)
    Path("t.txt").write_text("earlier")
    track("a.mp4", "--tracks", "t.txt", code=2)
    assert Path("t.txt").read_text() == "earlier"
    track("a.mp4", "--tracks", "t.txt")
    assert asked == ["t.txt exists: replace it?"] * 2
    assert not Path("t.txt").read_text().startswith("earlier")


def test_an_empty_file_and_a_device_hold_nothing_to_lose(track: Streamdet) -> None:
    Path("t.txt").touch()
    track("a.mp4", "--tracks", "t.txt", "--tracks", "-", "--explain", "e.jsonl")
    places = Places(tracks=(Path(os.devnull), Path("t.txt"), Path("-")))
    assert places.taken == [Path("t.txt")]


def test_what_is_finished_is_skipped_and_what_was_stopped_is_done_again(
    track: Streamdet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_in_frame(patch, 2, "a.mp4")
        track("a.mp4", "--out", "o.mp4", "--tracks", "t.csv", code=130)
    assert Path("o.mp4.part").read_bytes() == b""
    assert frames(Path("o.mp4")) == 3
    track("a.mp4", "--out", "o.mp4", "--tracks", "t.csv", "--skip-existing")
    assert not Path("o.mp4.part").exists()
    assert frames(Path("o.mp4")) == 5
    before = Path("o.mp4").stat().st_mtime_ns
    printed = track("a.mp4", "--out", "o.mp4", "--tracks", "t.csv", "--skip-existing")
    assert printed == "o.mp4, t.csv: finished by an earlier run\n"
    assert Path("o.mp4").stat().st_mtime_ns == before


def test_a_folder_that_stopped_half_way_goes_on(track: Streamdet, monkeypatch: pytest.MonkeyPatch) -> None:
    track("a.mp4", "--out", "alone.mp4", "--tracks", "alone.txt")
    Path("results").mkdir()
    for name in ("a", "b"):
        for place in (Path("results", f"{name}.mp4"), Path("results", f"{name}.txt")):
            place.write_text("earlier")
    Path("results/b.mp4.part").touch()  # as a killed run leaves it
    printed = track("a.mp4", "b.mp4", "c.mp4", "--out", "results", "--skip-existing")
    assert printed.startswith("1 of 3 sources was finished by an earlier run\n")
    assert "10 frames of 2 sources in" in printed
    assert Path("results/a.txt").read_text() == "earlier"
    alone = Path("alone.txt").read_bytes()
    assert [Path("results", name).read_bytes() for name in ("b.txt", "c.txt")] == [alone, alone]
    assert sorted(path.suffix for path in Path("results").iterdir()) == [".mp4"] * 3 + [".txt"] * 3
    printed = track("a.mp4", "b.mp4", "c.mp4", "--out", "results", "--skip-existing")
    assert printed == "3 of 3 sources were finished by an earlier run\n"


def test_a_source_that_ends_early_is_not_finished(track: Streamdet, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_in_frame(monkeypatch, 1, "a.mp4")
    track("a.mp4", "b.mp4", "--out", "results", code=130)
    assert Path("results/a.mp4.part").exists()


def test_a_result_that_never_came_has_no_mark(track: Streamdet) -> None:
    track("a.mp4", "--tracks", "t.txt", "--out", "missing/o.mp4", code=2)
    assert not list(Path().glob("*.part"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.mp4"], "expected --out, --tracks or --crops with --skip-existing: results in runs get new names"),
        (["a.mp4", "b.mp4"], "expected a folder as --out with --skip-existing: results in runs get new names"),
        (["a.mp4", "--out", "o.mp4", "--overwrite"], "expected --overwrite or --skip-existing, found both"),
    ],
)
def test_skipping_needs_a_name_and_excludes_replacing(track: Streamdet, words: list[str], sentence: str) -> None:
    assert track(*words, "--skip-existing", code=2) == f"error: {sentence}\n"
