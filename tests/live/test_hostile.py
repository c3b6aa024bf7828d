"""Cameras that never come to an end: video that is none, a unit without end, a description of gigabytes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from streamdet.errors import SourceEnded, SourceSilent, SourceUnreachable
from streamdet.pipeline.pipeline import Pipeline
from streamdet.types import Frame
from tests.live.film import fragment, garbled
from tests.live.rtsp_server import RtspServer, Viewer
from tests.live.viewing import BRIEF_S, numbers, plays, refusal, view
from tests.pipeline.fakes import FakeSession


@pytest.mark.parametrize("count", [0, 20])
def test_video_that_cannot_be_decoded_is_silence(count: int) -> None:
    """Packets come all the time, at the opening or from the middle on; without a limit the reader waits for ever."""

    def script(viewer: Viewer) -> None:
        viewer.send(range(count))
        for number in range(count, 1_000_000):
            viewer.send_units([garbled(unit) for unit in viewer.reel.access_unit(number % 100)], number)
            if viewer.left.wait(0.001):
                return

    if count:
        frames, error = view(script, BRIEF_S)
        assert numbers(frames) == list(range(count))
    else:
        error = refusal(script, BRIEF_S)
    assert type(error) is SourceSilent
    assert str(error).endswith(f"to go on, but no frame of it could be decoded for {4 * BRIEF_S:g} s")


ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\n"


def test_a_description_of_2_gb_is_not_read() -> None:
    error = refusal(describe=ANSWER + b"Content-Length: 2000000000\r\n\r\nv=0\r\n", endless=b"a=x\r\n" * 10_000)
    assert str(error).endswith("but what the server sent is no video")


@pytest.mark.parametrize("endless", [b"X-Field: x\r\n", b"xxxx"])
def test_an_answer_without_an_end_is_no_answer(endless: bytes) -> None:
    error = refusal(timeout_s=BRIEF_S, describe=ANSWER, endless=1000 * endless)
    assert type(error) is SourceUnreachable
    assert str(error).endswith("but it did not answer in time")


READ = """
import re, sys
from pathlib import Path
from streamdet.errors import SourceError
from streamdet.video.source import open_source
from tests.live.counter import number_in
numbers = []
try:
    with open_source(sys.argv[1], timeout_s=60, max_pixels=1_000_000) as source:
        for frame in source:
            numbers.append(number_in(frame.image))
except SourceError:
    # Not the ru_maxrss of getrusage, which begins with that of the process that has started this one.
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
    print(int(peak[1]) >> 10, *numbers)
"""


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="needs the memory of a process as Linux tells it")
def test_a_nal_unit_that_does_not_end_takes_little_memory() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(30))
        for count in range(7000):
            viewer.send_payload(fragment(0x65, b"\x88" * 60_000, count == 0, False), 30, last=False)
        viewer.send(range(40, 60))
        viewer.close()

    with RtspServer(script) as server:
        words = subprocess.run([sys.executable, "-c", READ, server.url], capture_output=True, text=True, check=True)
    megabytes, *read = map(int, words.stdout.split())
    assert read[:30] == list(range(30))
    assert read[-19:] == list(range(41, 60))
    assert megabytes < 900


def test_a_camera_without_decodable_video_leaves_another_alone() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(30))
        while not viewer.left.wait(0.001):
            viewer.send_units([b"\x65" + bytes(100)], 30)

    results: dict[str, list[Frame]] = {}
    with RtspServer(script) as bad, RtspServer(plays) as good, Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(bad.url, good.url, timeout_s=BRIEF_S)
        with pytest.raises(ExceptionGroup) as caught:
            for run, result in runs:
                results.setdefault(run.source_id, []).append(result.frame)
    assert {type(error) for error in caught.value.exceptions} == {SourceSilent, SourceEnded}
    assert numbers(results[good.url])[-1] == 29


def test_an_answer_that_trickles_is_no_answer() -> None:
    """Each byte comes in time, and the last one never."""
    error = refusal(timeout_s=BRIEF_S, describe=ANSWER, endless=b"x", pause_s=BRIEF_S / 20)
    assert type(error) is SourceUnreachable
    assert str(error).endswith("but it did not answer in time")
