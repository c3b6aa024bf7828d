"""``streamdet track A B C``: results of each in a folder of the call, none lost, and what fails fails alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from streamdet.cli.interrupt import Interrupt
from streamdet.cli.places import Places
from streamdet.cli.several import _Job, _write
from streamdet.errors import SourceBroken
from streamdet.options import TrackOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from tests.pipeline.fakes import FakeSession, FakeSource, soon, write_clip

Streamdet = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two clips of one name and a third."""
    monkeypatch.chdir(tmp_path)
    for name, count in (("a/clip.mp4", 5), ("b/clip.mp4", 7), ("b/other.mp4", 9)):
        Path(name).parent.mkdir(exist_ok=True)
        write_clip(Path(name), count)
    return tmp_path


@pytest.fixture
def track(streamdet: Streamdet, folder: Path, tiny_weights: Path) -> Streamdet:
    def run(*arguments: object, code: int = 0) -> str:
        return streamdet("track", *arguments, "--model", tiny_weights, "--imgsz", 64, "--device", "cpu", code=code)

    return run


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_each_source_has_a_video_and_tracks_and_equal_names_are_told_apart(track: Streamdet, folder: Path) -> None:
    printed = track("a/clip.mp4", "b/clip.mp4", "b/other.mp4")
    results = folder / "runs" / "track"
    assert {path.name for path in results.iterdir()} == {
        *("clip.mp4", "clip.txt", "clip-2.mp4", "clip-2.txt", "other.mp4", "other.txt")
    }
    assert [frames(results / name) for name in ("clip.mp4", "clip-2.mp4", "other.mp4")] == [5, 7, 9]
    for source, count in (("a/clip.mp4", 5), ("b/clip.mp4", 7), ("b/other.mp4", 9)):
        (row,) = [line for line in printed.splitlines() if line.startswith(source)]
        assert row.split()[1] == str(count)
    assert re.search(r"\n21 frames of 3 sources in \d+\.\d s \([\d.]+ fps\), runs/track\n", printed)


def test_the_next_call_takes_the_next_folder(track: Streamdet, folder: Path) -> None:
    track("a/clip.mp4", "b/other.mp4")
    first = (folder / "runs" / "track" / "clip.txt").stat().st_mtime_ns
    track("a/clip.mp4", "b/other.mp4")
    track("a/clip.mp4", "b/other.mp4")
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["track", "track-2", "track-3"]
    assert (folder / "runs" / "track" / "clip.txt").stat().st_mtime_ns == first
    assert (folder / "runs" / "track-3" / "other.mp4").exists()


def test_a_folder_of_videos_is_its_videos(track: Streamdet, folder: Path) -> None:
    (folder / "b" / "notes.txt").write_text("no video")
    track("b")
    assert {path.name for path in (folder / "runs" / "track").glob("*.mp4")} == {"clip.mp4", "other.mp4"}
    track("b/*.mp4", "--out", folder / "mine")
    assert {path.name for path in (folder / "mine").glob("*.txt")} == {"clip.txt", "other.txt"}


def test_one_result_is_what_a_run_of_its_own_gives(track: Streamdet, folder: Path) -> None:
    track("a/clip.mp4", "b/clip.mp4", "b/other.mp4")
    track("b/other.mp4")
    together, alone = folder / "runs" / "track" / "other.txt", folder / "runs" / "other.txt"
    assert together.read_bytes() == alone.read_bytes()


def test_what_fails_is_told_and_the_others_are_whole(track: Streamdet, folder: Path) -> None:
    (folder / "text.mp4").write_text("no video\n" * 100)
    printed = track("a/clip.mp4", "text.mp4", "none.mp4", "b/other.mp4", code=1)
    results = folder / "runs" / "track"
    assert [frames(results / name) for name in ("clip.mp4", "other.mp4")] == [5, 9]
    assert not list(results.glob("text*")) and not list(results.glob("none*"))
    rows = {line.split()[0]: line.split()[-1] for line in printed.splitlines() if ".mp4" in line}
    assert [rows[name] for name in ("text.mp4", "none.mp4")] == ["failed", "failed"]
    assert "\nerror: expected a video file, but text.mp4 is none" in printed
    assert "found nothing at 'none.mp4'\n" in printed


def test_a_source_that_breaks_off_costs_no_other(track: Streamdet, folder: Path) -> None:
    whole = Path("a/clip.mp4").read_bytes()
    shutil.copy("b/other.mp4", "c.mp4")
    Path("cut.mp4").write_bytes(whole[: len(whole) // 2])
    printed = track("cut.mp4", "c.mp4", code=1)
    assert "\nerror: expected a video, but cut.mp4 holds no video stream" in printed
    assert frames(folder / "runs" / "track" / "c.mp4") == 9


@pytest.mark.parametrize("option", [["--tracks", "t.txt"], ["--explain", "e.jsonl"], ["--state", "s"], ["--show"]])
def test_what_is_of_one_source_is_refused(track: Streamdet, folder: Path, option: list[str]) -> None:
    printed = track("a/clip.mp4", "b/clip.mp4", *option, code=2)
    assert f"expected one source for {option[0]}, found 2" in printed
    assert not (folder / "runs").exists()


def test_an_empty_folder_is_one_sentence(track: Streamdet, folder: Path) -> None:
    (folder / "empty").mkdir()
    printed = track("empty", code=2)
    assert "expected a folder with images or videos" in printed


def test_a_file_where_the_folder_should_be_is_one_sentence(track: Streamdet, folder: Path) -> None:
    printed = track("a/clip.mp4", "b/clip.mp4", "--out", "a/clip.mp4", code=2)
    assert "expected a folder for the results, but a/clip.mp4 is none" in printed
    assert frames(folder / "a" / "clip.mp4") == 5


def test_a_source_that_fails_leaves_the_mark_of_unfinished_results(tmp_path: Path) -> None:
    places = {name: Places((tmp_path / f"{name}.mp4",), (tmp_path / f"{name}.txt",)) for name in ("broken", "whole")}
    options = TrackOptions(sources=("broken", "whole"))
    progress: Any = SimpleNamespace(add=lambda run: None, count=lambda run, tracks: None, remove=lambda run: None)
    with Pipeline.from_session(FakeSession()) as pipeline:
        broken = FakeSource(3, name="broken", fails=SourceBroken("reading failed"))
        runs = pipeline.runs(broken, FakeSource(60, name="whole"))
        jobs = {run: _Job(run, places[run.source_id], options) for run in runs.all}
        _write(runs, jobs, progress, Interrupt(runs.stop))
        for job in jobs.values():
            job.close(stopped=False)
    assert [str(job.error) for job in jobs.values()] == ["reading failed", "None"]
    assert [frames(places[name].pictures[0]) for name in places] == [3, 60]
    assert [each.finished for each in places.values()] == [False, True]


def test_the_bar_of_a_file_that_has_ended_is_taken_away() -> None:
    class Job:
        error = None

        def __init__(self, run: Run) -> None:
            self.run = run

        def close(self, *, stopped: bool) -> None:
            assert not stopped

        def write(self, result: Result, *_: object) -> None:
            if self.run is short and result.frame.index == 2:
                assert soon(lambda: short.idle and short.ready())
                removed.clear()  # the bar may go only now

    removed: list[Run] = []
    progress: Any = SimpleNamespace(add=lambda run: None, count=lambda run, tracks: None, remove=removed.append)
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(FakeSource(3), FakeSource(30))
        short = runs.all[0]
        jobs: Any = {run: Job(run) for run in runs.all}
        _write(runs, jobs, progress, Interrupt(runs.stop))
    assert short in removed
