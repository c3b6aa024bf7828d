"""A real RTSP server: frames come, and when it dies, freezes or never answers, that is said in time."""

import itertools
import os
import signal
import socket
import subprocess
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from streamdet.errors import (
    InputError,
    SourceBroken,
    SourceEnded,
    SourceError,
    SourceRefused,
    SourceSilent,
    SourceUnreachable,
)
from streamdet.pipeline.camera import Camera
from streamdet.pipeline.pipeline import Pipeline
from streamdet.video.source import open_source
from tests.pipeline.fakes import FakeSession

pytestmark = [pytest.mark.integration, pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")]

TIMEOUT_S = 1.0


def test_frames_of_a_live_camera_come_in_order(server: tuple[subprocess.Popen[str], str]) -> None:
    with open_source(f"{server[1]}/live", timeout_s=5) as source:
        info = source.info
        assert (info.width, info.height, info.frame_rate, info.live) == (320, 240, Fraction(25), True)
        assert (info.frame_count, source.audio_from) == (None, None)
        frames = [next(source) for _ in range(40)]
    assert [frame.index for frame in frames] == list(range(40))
    steps = np.diff([float(frame.time) for frame in frames])
    assert steps == pytest.approx(0.04, abs=0.002)
    assert all(float(np.mean(frame.image)) > 250 for frame in frames)
    assert source.damaged == 0


def test_a_real_clip_arrives_whole(server: tuple[subprocess.Popen[str], str]) -> None:
    with open_source(f"{server[1]}/clip", timeout_s=5, max_frames=20) as source:
        frames = list(source)
    assert {frame.image.shape for frame in frames} == {(432, 768, 3)}
    assert {later.time - earlier.time for earlier, later in itertools.pairwise(frames)} == {Fraction(2, 25)}


@pytest.mark.parametrize(
    ("death", "kind"), [(signal.SIGKILL, (SourceEnded, SourceBroken)), (signal.SIGSTOP, SourceSilent)]
)
def test_a_camera_that_dies_or_freezes_is_a_failure_in_time(
    server: tuple[subprocess.Popen[str], str],
    death: signal.Signals,
    kind: type[SourceError] | tuple[type[SourceError], ...],
) -> None:
    process, url = server
    with open_source(f"{url}/live", timeout_s=5) as _:
        pass  # warms up the server, so that the second client is answered at once
    threads = threading.active_count()
    with open_source(f"{url}/live", timeout_s=TIMEOUT_S) as source:
        for _ in range(10):
            next(source)
        process.send_signal(death)
        since = time.monotonic()
        with pytest.raises(kind, match=r"expected rtsp://.* to go on, but") as caught:
            for _ in source:
                pass
        assert not isinstance(caught.value, InputError)
        assert time.monotonic() - since < TIMEOUT_S + 1.5
        closing = time.monotonic()
    assert time.monotonic() - closing < TIMEOUT_S + 1
    assert threading.active_count() == threads


def test_a_stream_that_ends_is_a_failure(server: tuple[subprocess.Popen[str], str]) -> None:
    with open_source(f"{server[1]}/short", timeout_s=3) as source, pytest.raises(SourceError, match="to go on, but"):
        for _ in source:
            pass


def test_a_blocked_reader_ends_after_stop(server: tuple[subprocess.Popen[str], str]) -> None:
    process, url = server
    source = open_source(f"{url}/live", timeout_s=3)
    reading = threading.Event()

    def read() -> None:
        try:
            for _ in source:
                reading.set()
        except SourceError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(5)
    process.send_signal(signal.SIGSTOP)
    source.close()
    reader.join(5)
    assert not reader.is_alive()


def test_an_unknown_stream_is_refused(server: tuple[subprocess.Popen[str], str]) -> None:
    with pytest.raises(SourceRefused, match=r"knows no such stream \(404 not found\)"):
        open_source(f"{server[1]}/nothing", timeout_s=3)


def test_a_server_that_never_answers_is_refused_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        since = time.monotonic()
        with pytest.raises(SourceUnreachable, match="did not answer in time"):
            open_source(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/live", timeout_s=TIMEOUT_S)
        assert time.monotonic() - since < 2 * TIMEOUT_S + 1


def test_a_camera_that_ends_is_connected_again(server: tuple[subprocess.Popen[str], str]) -> None:
    # The server sends 30 frames to each connection.
    with (
        Pipeline.from_session(FakeSession()) as pipeline,
        pipeline.run(f"{server[1]}/short", reconnect_s=60.0, max_frames=45) as run,
    ):
        frames = [result.frame for result in run]
        assert isinstance(run.source, Camera)
        assert run.source.reconnects >= 1
    steps_s = [float(after.time - before.time) for before, after in itertools.pairwise(frames)]
    assert min(steps_s) > 0
    assert max(steps_s) > 0.25  # the shortest wait
    assert frames[-1].index == 44
