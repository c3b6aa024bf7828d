"""``streamdet track --explain`` and ``streamdet explain`` as a user meets them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streamdet.cli.app import main
from tests.explain.scene import recorded

A = (100.0, 0.9)


@pytest.fixture
def streamdet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Run a command in this process; checks its exit code and returns the lines that it printed, errors first."""

    def run(*arguments: object, code: int) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["streamdet", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert ended.value.code == code, captured
        return (captured.err + captured.out).splitlines()

    return run


@pytest.fixture
def explained(tmp_path: Path) -> Path:
    """Two ids: the second begins at 0.2 s, the first is given up at 2.5 s."""
    scene = [[A], [A], [A, (300, 0.8)], [A, (300, 0.8)], *[[(300.0, 0.8)]] * 23]
    return recorded(tmp_path / "explained.jsonl", scene).path


def test_without_an_id_all_are_listed(streamdet: Callable[..., list[str]], explained: Path) -> None:
    heading, *rows, last = streamdet("explain", explained, code=0)
    assert heading.split() == ["id", "class", "first", "frame", "last", "frame", "seen", "weak", "gaps", "end"]
    assert [" ".join(row.split()) for row in rows] == [
        "1 person 0 (0.00 s) 3 (0.30 s) 4 0 0 unseen for 2.10 s",
        "2 person 2 (0.20 s) 26 (2.60 s) 25 0 0 there to the end",
    ]
    assert last == "2 ids in scene, tracker bytetrack"


def test_the_story_of_an_id(streamdet: Callable[..., list[str]], explained: Path) -> None:
    first, began, *_, last = streamdet("explain", explained, "--id", 1, code=0)
    assert first == (
        "id 1: person, seen in 4 frames from frame 0 (0.00 s) to frame 3 (0.30 s); hidden and found again 0 times"
    )
    assert began.startswith("frame 0 (0.00 s): began with a person detection of score 0.90")
    assert last == "frame 24 (2.40 s): ended: unseen for 2.10 s, longer than the 2.00 s allowed (track_buffer_s)"


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "; the nearest are 1 and 2"), ([], ": it holds no id at all")]
)
def test_an_unknown_id_is_one_sentence(
    streamdet: Callable[..., list[str]], explained: Path, content: list[list[tuple[float, float]]] | None, sentence: str
) -> None:
    if content is not None:
        recorded(explained, content)
    assert streamdet("explain", explained, "--id", 7, code=2) == [f"error: there is no id 7 in {explained}{sentence}"]


def test_a_run_that_was_cut_off_is_told_as_far_as_it_goes(streamdet: Callable[..., list[str]], explained: Path) -> None:
    explained.write_bytes(explained.read_bytes()[:-9])
    warning, *_, last = streamdet("explain", explained, "--id", 2, code=0)
    assert warning == (
        f"warning: line 28 of {explained} was not written to its end: told is what the lines before it hold"
    )
    assert last == "frame 25 (2.50 s): there to the end of the record"


def test_another_file_is_refused(streamdet: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "tracks.txt").write_text("1,1,10,20,30,40,0.9,-1,-1,-1\n")
    (printed,) = streamdet("explain", tmp_path / "tracks.txt", code=2)
    assert printed.startswith("error: expected a file that streamdet track --explain wrote, found '1,1,10")


def test_a_run_writes_the_reasons_behind_its_tracks(
    streamdet: Callable[..., list[str]], data: Path, tmp_path: Path
) -> None:
    tracks, reasons = tmp_path / "tracks.txt", tmp_path / "reasons.jsonl"
    options = ["--model", data / "weights" / "yolov8n.pt", "--imgsz", 320, "--classes", "person", "--max-frames", 8]
    printed = streamdet(
        "track", data / "videos" / "vtest.avi", *options, "--tracks", tracks, "--explain", reasons, code=0
    )
    assert f", {tracks}, {reasons}" in "".join(printed)
    assert reasons.read_text().count("\n") == 9
    ids = {line.split(",")[1] for line in tracks.read_text().splitlines()}
    assert {row.split()[0] for row in streamdet("explain", reasons, code=0)[1:-1]} == ids
    assert "began with a person detection" in streamdet("explain", reasons, "--id", min(ids), code=0)[1]


@pytest.mark.parametrize(
    ("tracks", "reasons", "sentence"),
    [
        ("t.txt", "r.txt", "the explanation is written as .jsonl, not .txt"),
        ("t.jsonl", "./t.jsonl", "expected a file each for --tracks and --explain, found "),
    ],
)
def test_a_refused_explanation_costs_no_earlier_tracks(
    streamdet: Callable[..., list[str]], data: Path, tmp_path: Path, tracks: str, reasons: str, sentence: str
) -> None:
    (tmp_path / tracks).write_text("earlier")
    files = ["--tracks", tmp_path / tracks, "--explain", tmp_path / reasons, "--overwrite"]
    model = data / "weights" / "yolov8n.pt"
    (printed,) = streamdet("track", data / "videos" / "vtest.avi", "--model", model, *files, code=2)
    assert printed.startswith(f"error: {sentence}")
    assert (tmp_path / tracks).read_text() == "earlier"
