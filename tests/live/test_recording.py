"""``streamdet track`` with cameras: what is recorded is told, and what is only watched too."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from tests.live.rtp import TICKS_PER_S
from tests.live.rtsp_server import RtspServer, Viewer

Streamdet = Callable[..., str]


@pytest.fixture
def track(streamdet: Streamdet, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Streamdet:
    """``streamdet track`` in an empty folder, with cameras that end: its exit code is 1."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        return streamdet("track", *arguments, "--model", tiny_weights, "--imgsz", 64, "--device", "cpu", code=1)

    return run


def plays_with_pauses(viewer: Viewer) -> None:
    """Send four pictures, 12 s apart, each of which is a key frame."""
    for number in (0, 10, 20, 30):
        viewer.send([number])
        viewer.clock += 12 * TICKS_PER_S
    viewer.close()


def test_the_segments_of_a_camera_are_told(track: Streamdet) -> None:
    with RtspServer(plays_with_pauses) as server:
        printed = track(server.url, "--out", "cam.mp4", "--segment", "10s")
    segments = sorted(Path().glob("cam-*.mp4"), key=lambda path: path.stem)
    (line,) = [line for line in printed.splitlines() if " fps)" in line]
    more = f" and {len(segments) - 1} more" if len(segments) > 1 else ""
    assert line.endswith(f", {segments[0]}{more}")
    assert "cam.mp4" not in line


def test_several_cameras_are_recorded_in_segments(track: Streamdet) -> None:
    with RtspServer(plays_with_pauses) as first, RtspServer(plays_with_pauses) as second:
        printed = track(first.url, second.url, "--out", "day", "--segment", "10s")
    assert "not recorded" not in printed
    for name in ("live", "live-2"):
        segments = [path for path in Path("day").glob("*.mp4") if re.fullmatch(rf"{name}-\d{{8}}-.*", path.stem)]
        assert segments
        for segment in segments:
            with av.open(str(segment)) as container:
                assert sum(1 for _ in container.decode(video=0)) >= 1


def test_that_several_cameras_are_only_watched_is_said(track: Streamdet) -> None:
    with RtspServer(plays_with_pauses) as first, RtspServer(plays_with_pauses) as second:
        printed = track(first.url, second.url)
    assert printed.count("cameras are watched, and not recorded: --segment 10m records them") == 1
    assert [path for path in Path().rglob("*") if path.is_file()] == []


def test_a_camera_without_outputs_tells_what_it_sees(track: Streamdet) -> None:
    with RtspServer(plays_with_pauses) as server:
        printed = track(server.url)
    assert re.search(r"^\d\d:\d\d:\d\d \d+ tracks?.*  age \d+ ms$", printed, re.MULTILINE)
    with RtspServer(plays_with_pauses) as server:
        printed = track(server.url, "--tracks", "tracks.txt")
    assert " age " not in printed
