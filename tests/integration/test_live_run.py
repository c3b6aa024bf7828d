"""``streamdet track`` on a camera: it dies, falls silent, or the user ends the run; the video always plays."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamdet.video.source import open_source

pytestmark = pytest.mark.integration

Server = tuple[subprocess.Popen[str], str]


def start(url: str, data: Path, folder: Path) -> subprocess.Popen[str]:
    """Start a run on a camera, and return when it has written ten frames."""
    tracks = folder / "tracks.jsonl"
    options = ["--model", data / "weights" / "yolov8n.pt", "--imgsz", "320", "--out", folder / "out.mp4"]
    command = [sys.executable, "-m", "streamdet", "track", url, *options, "--tracks", tracks]
    running = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True)
    while running.poll() is None and not (tracks.exists() and tracks.read_text().count("\n") > 10):
        time.sleep(0.05)
    return running


def assert_whole(folder: Path) -> None:
    """Every frame whose tracks were written is in the video, which begins at time 0 and is sound."""
    written = (folder / "tracks.jsonl").read_text().count("\n") - 1  # without the header
    with open_source(folder / "out.mp4") as source:
        times = [frame.time for frame in source]
        assert source.warnings == []
    assert len(times) == written >= 10
    assert times[0] == 0


def test_a_camera_that_dies_is_one_sentence(server: Server, data: Path, tmp_path: Path) -> None:
    running = start(f"{server[1]}/live", data, tmp_path)
    server[0].kill()
    printed = running.communicate(timeout=30)[1]
    assert running.returncode == 1, printed
    assert printed.strip().splitlines()[-1].startswith("error: expected rtsp://")
    assert "Traceback" not in printed
    assert_whole(tmp_path)


@pytest.mark.parametrize("silent", [False, True])
def test_ending_a_run_on_a_camera_is_no_failure(server: Server, data: Path, tmp_path: Path, silent: bool) -> None:
    running = start(f"{server[1]}/live", data, tmp_path)
    if silent:
        server[0].send_signal(signal.SIGSTOP)
    since = time.monotonic()
    running.send_signal(signal.SIGINT)
    printed = running.communicate(timeout=30)[1]
    assert time.monotonic() - since < 5
    assert running.returncode == 0, printed
    assert_whole(tmp_path)
