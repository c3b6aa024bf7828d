"""The files of a run: what is read is never emptied, no result replaces another, and what is lost is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamdet.cli.outputs import Outputs
from streamdet.result import Result
from tests.pipeline.fakes import write_clip

ROOT = Path(__file__).resolve().parents[1]

Streamdet = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two clips of one name and a folder of images."""
    monkeypatch.chdir(tmp_path)
    for name, count in (("a/clip.mp4", 5), ("b/clip.mp4", 7)):
        Path(name).parent.mkdir(exist_ok=True)
        write_clip(Path(name), count)
    Path("images").mkdir()
    for index in range(2):
        cv2.imwrite(f"images/{index}.png", np.full((48, 64, 3), 9 * index, np.uint8))
    return tmp_path


@pytest.fixture
def track(streamdet: Streamdet, folder: Path, tiny_weights: Path) -> Streamdet:
    (folder / "tiny.safetensors").write_bytes(tiny_weights.read_bytes())

    def run(*arguments: object, code: int = 0) -> str:
        return streamdet(
            "track", *arguments, "--model", "tiny.safetensors", "--imgsz", 64, "--device", "cpu", code=code
        )

    return run


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", ["--tracks t.txt", "--explain t.jsonl", "--state t.state", "--out t.mp4"])
@pytest.mark.parametrize("victim", ["a/clip.mp4", "tiny.safetensors", "images/1.png", "truth/gt/gt.txt", "own.yaml"])
def test_no_output_is_a_file_that_is_read(track: Streamdet, folder: Path, option: str, victim: str) -> None:
    (folder / "truth" / "gt").mkdir(parents=True)
    (folder / "truth" / "gt" / "gt.txt").write_text("1,1,0,0,9,9,1,1,1\n")
    (folder / "truth" / "seqinfo.ini").write_text("[Sequence]\nseqLength=5\nframeRate=25\n")
    (folder / "own.yaml").write_text("tracker_type: sort\n")
    (folder / option.split()[1]).hardlink_to(folder / victim)
    before = everything(folder)
    source = "images" if "images" in victim else "a/clip.mp4"
    printed = track(source, "--truth", "truth", "--tracker", "own.yaml", *option.split(), code=2)
    assert printed.startswith(f"error: expected a file of its own for {option.split()[0]}, but t.")
    assert everything(folder) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--state", "x.jsonl", "--tracks", "x.jsonl"],
        ["--state", "x.jsonl", "--explain", "./x.jsonl"],
        ["--state", "x.mp4", "--out", "x.mp4"],
        ["--tracks", "x.jsonl", "--explain", "a/../x.jsonl"],
    ],
)
def test_two_outputs_are_two_files(track: Streamdet, folder: Path, options: list[str]) -> None:
    printed = track("a/clip.mp4", *options, code=2)
    assert f"expected a file each for {' and '.join(sorted(options[::2], key=ORDER.index))}, found" in printed
    assert not (folder / options[1]).exists()


def test_masks_are_refused_of_another_model_before_the_source_is_opened(track: Streamdet, folder: Path) -> None:
    (folder / "broken.mp4").write_text("no video")
    printed = track("broken.mp4", "--tracks", "t.mots", code=2)
    assert printed.strip() == "error: t.mots: expected a model for the task segment, found one for detect"
    assert not (folder / "t.mots").exists()


ORDER = ["--out", "--tracks", "--explain", "--state"]


def test_a_source_is_not_replaced_by_the_result_of_another(track: Streamdet, folder: Path) -> None:
    printed = track("a/clip.mp4", "b/clip.mp4", "--out", "b", code=2)
    assert "expected a file of its own for clip.mp4, but b/clip.mp4 is read as SOURCE" in printed
    assert frames(folder / "b" / "clip.mp4") == 7


def test_results_of_sources_of_one_name_are_kept(track: Streamdet, folder: Path) -> None:
    track("a/clip.mp4")
    assert ", runs/clip-2.mp4, runs/clip-2.txt\n" in track("b/clip.mp4")
    assert [frames(folder / "runs" / name) for name in ("clip.mp4", "clip-2.mp4")] == [5, 7]
    (folder / "runs" / "clip.mp4").unlink()
    track("b/clip.mp4")
    assert sorted(path.name for path in (folder / "runs").glob("*.txt")) == ["clip-2.txt", "clip-3.txt", "clip.txt"]


def test_runs_at_the_same_time_have_results_of_their_own(folder: Path, tiny_weights: Path) -> None:
    command = [sys.executable, "-m", "streamdet", "track", "b/clip.mp4", "--model", str(tiny_weights), "--imgsz", "64"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [each.wait(timeout=100) for each in running] == [0, 0]
    assert [frames(folder / "runs" / name) for name in ("clip.mp4", "clip-2.mp4")] == [7, 7]


def test_a_run_without_results_leaves_no_files(track: Streamdet, folder: Path) -> None:
    track("a/clip.mp4", "--explain", "missing/e.jsonl", code=2)
    assert list((folder / "runs").iterdir()) == []


@pytest.mark.parametrize("option", ["--tracks", "--explain", "--out"])
def test_a_folder_that_is_removed_during_the_run_is_an_error(
    track: Streamdet, folder: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    def write_and_remove(outputs: Outputs, result: Result) -> bool:
        more = write(outputs, result)
        if result.frame.index == 3:
            shutil.rmtree(folder / "gone")
        return more

    write = Outputs.write
    monkeypatch.setattr(Outputs, "write", write_and_remove)
    (folder / "gone").mkdir()
    path = "gone/x.mp4" if option == "--out" else "gone/x.jsonl"
    printed = track("a/clip.mp4", option, path, *([] if option == "--tracks" else ["--tracks", "t.txt"]), code=1)
    assert path in printed
    assert "it was deleted while it was written\n" in printed


def test_tracks_go_to_standard_output(folder: Path, tiny_weights: Path) -> None:
    command = [sys.executable, "-m", "streamdet", "track", "a/clip.mp4", "--model", str(tiny_weights), "--imgsz", "64"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    outputs = [
        subprocess.run([*command, "--tracks", path], env=environment, capture_output=True, check=True).stdout
        for path in ("t.txt", "-")
    ]
    assert outputs == [b"", Path("t.txt").read_bytes()]
    assert outputs[1].startswith(b"1,")
    assert not Path("-").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_a_reader_of_the_tracks_that_leaves_ends_the_run(folder: Path, tiny_weights: Path) -> None:
    write_clip(folder / "long.mp4", 100)
    command = [sys.executable, "-m", "streamdet", "track", "long.mp4", "--model", str(tiny_weights), "--imgsz", "64"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*command, "--tracks", "-"], env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert ended.returncode == 1
    assert ended.stderr.endswith("error: writing tracks to - failed: Broken pipe\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_a_run_whose_messages_nobody_reads_goes_on(folder: Path, tiny_weights: Path) -> None:
    command = [sys.executable, "-m", "streamdet", "track", "b/clip.mp4", "--model", str(tiny_weights), "--imgsz", "64"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*command, "--out", "o.mp4"], env=environment, stderr=writing, check=False)
    os.close(writing)
    assert ended.returncode == 0
    assert frames(folder / "o.mp4") == 7


KEEP = """
import sys
from pathlib import Path
from streamdet.tracking.frame_tracker import load_tracker
tracker = load_tracker("sort", 25)
tracker.remember(Path(sys.argv[1]), [], live=False)
tracker.close()
print("kept", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks")
def test_the_state_of_a_run_in_another_process_is_refused(track: Streamdet, folder: Path) -> None:
    command, environment = [sys.executable, "-c", KEEP, "state"], {**os.environ, "PYTHONPATH": str(ROOT)}
    options = ["a/clip.mp4", "--tracker", "sort", "--tracks", "t.txt", "--state", "state"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"kept\n"
        before = Path("state").read_bytes()
        assert "another one is writing to state\n" in track(*options, code=2)
        assert Path("state").read_bytes() == before
        other.kill()
        other.wait()
    track(*options, "--overwrite")
    track(*options, "--overwrite")
