"""Cameras that fail in every way that a server can be told to: what comes is true, and the error says what may help."""

from __future__ import annotations

import subprocess
import sys
import threading
from fractions import Fraction

import pytest

from streamdet.errors import (
    InputError,
    SourceEnded,
    SourceError,
    SourceRefused,
    SourceSilent,
    SourceUnreachable,
)
from streamdet.types import Frame
from streamdet.video.source import Source, open_source
from tests.live.film import KEY_INTERVAL, RATE, film, fragment, garbled, number_in, rtp_payloads
from tests.live.rtsp_server import TICKS_PER_S, RtspServer, Script, Viewer

# How long a camera may be silent, where that is what a test waits for; where it is not, waiting is no failure.
BRIEF_S, LONG_S = 0.3, 30.0


def plays(viewer: Viewer) -> None:
    """Send 30 pictures, and end."""
    viewer.send(range(30))
    viewer.close()


def plays_on(viewer: Viewer) -> None:
    """Send the next 20 pictures, and end."""
    viewer.send(range(20, 40))
    viewer.close()


def seen(source: Source) -> tuple[list[Frame], SourceError]:
    """Read `source` to its end, and return its frames and its error."""
    frames: list[Frame] = []
    with source, pytest.raises(SourceError) as caught:
        frames.extend(source)
    return frames, caught.value


def view(script: Script, timeout_s: float = LONG_S, **camera: object) -> tuple[list[Frame], SourceError]:
    """Play `script` to a viewer, and return what it has seen."""
    with RtspServer(script, **camera) as server:  # type: ignore[arg-type]
        return seen(open_source(server.url, timeout_s=timeout_s))


def refusal(script: Script = plays, timeout_s: float = LONG_S, **camera: object) -> SourceError:
    """Return the error by which a camera cannot be opened."""
    with RtspServer(script, **camera) as server, pytest.raises(SourceError) as caught:  # type: ignore[arg-type]
        open_source(server.url, timeout_s=timeout_s)
    assert "rtsp://127.0.0.1:" in str(caught.value)
    return caught.value


def numbers(frames: list[Frame]) -> list[int]:
    return [number_in(frame.image) for frame in frames]


def times(frames: list[Frame]) -> list[Fraction]:
    """Return the times of `frames` in pictures of the film."""
    return [frame.time * RATE for frame in frames]


def test_pictures_of_a_camera_come_in_order_at_their_times() -> None:
    frames, error = view(plays)
    assert numbers(frames) == times(frames) == [frame.index for frame in frames] == list(range(30))
    assert type(error) is SourceEnded


@pytest.mark.parametrize("goes", [lambda viewer: None, Viewer.vanish])
def test_a_camera_that_stalls_is_silent(goes: Script) -> None:
    """One that has lost its power looks the same: the connection is half open."""

    def script(viewer: Viewer) -> None:
        viewer.send(range(20))
        goes(viewer)

    frames, error = view(script, BRIEF_S)
    assert numbers(frames) == list(range(20))
    assert type(error) is SourceSilent
    assert str(error).endswith("to go on, but no frame came for 0.3 s")


@pytest.mark.parametrize("ends", [Viewer.close, Viewer.finish, Viewer.reset])
def test_a_connection_that_ends_or_breaks_off_is_the_end(ends: Script) -> None:
    """FFmpeg tells no difference between them for RTSP."""
    is_read = threading.Event()

    def script(viewer: Viewer) -> None:
        viewer.send(range(30))
        viewer.until(is_read)
        ends(viewer)

    with RtspServer(script) as server:
        source = open_source(server.url, timeout_s=LONG_S)
        # A picture is complete when the next one begins.
        assert numbers([next(source) for _ in range(29)]) == list(range(29))
        is_read.set()
        _, error = seen(source)
    assert type(error) is SourceEnded


@pytest.mark.parametrize("hours", [-20, -7, -0.01, 0.01, 6, 7, 13])
def test_a_clock_that_jumps_moves_no_time(hours: float) -> None:
    """RTP counts to 2^32 ticks: FFmpeg takes a jump of over 6.6 h for one in the other direction."""

    def script(viewer: Viewer) -> None:
        viewer.send(range(20))
        viewer.clock += round(hours * 3600 * TICKS_PER_S)
        plays_on(viewer)

    frames, _ = view(script)
    assert numbers(frames) == times(frames) == list(range(40))


def test_a_clock_that_overflows_goes_on() -> None:
    def script(viewer: Viewer) -> None:
        viewer.clock = 2**32 - TICKS_PER_S
        plays(viewer)

    frames, _ = view(script)
    assert numbers(frames) == times(frames) == list(range(30))


def test_a_resolution_may_change() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(20))
        viewer.reel = film(scale=2)
        plays_on(viewer)

    frames, _ = view(script)
    assert numbers(frames) == times(frames) == list(range(40))
    assert [frame.image.shape[0] for frame in frames] == 20 * [64] + 20 * [128]


def test_after_lost_packets_the_next_key_frame_is_whole() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(13))
        viewer.lose()
        viewer.send(range(14, 40))
        viewer.close()

    frames, _ = view(script)
    assert times(frames) == [*range(13), *range(14, 40)]
    assert numbers(frames)[:13] == list(range(13))
    assert numbers(frames)[-20:] == list(range(20, 40))


def test_a_picture_without_its_end_is_not_whole_and_the_next_is() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(20))
        *payloads, _ = (payload for unit in viewer.reel.access_unit(20) for payload in rtp_payloads(unit))
        for payload in payloads:
            viewer.send_payload(payload, 20, last=False)
        viewer.lose()
        viewer.send(range(30, 40))
        viewer.close()

    frames, _ = view(script)
    assert times(frames)[-10:] == numbers(frames)[-10:] == list(range(30, 40))


def test_a_damaged_picture_is_counted() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(13))
        viewer.send([13], change=garbled)
        viewer.send(range(14, 30))
        viewer.close()

    with RtspServer(script) as server:
        source = open_source(server.url, timeout_s=LONG_S)
        frames, _ = seen(source)
    assert source.damaged == 1
    assert times(frames) == [*range(13), *range(14, 30)]
    assert numbers(frames)[-10:] == list(range(20, 30))


def test_a_camera_that_is_joined_between_two_key_frames_shows_the_second() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(3, 30))
        viewer.close()

    with RtspServer(script) as server:
        source = open_source(server.url, timeout_s=LONG_S)
        frames, _ = seen(source)
    assert numbers(frames) == list(range(KEY_INTERVAL, 30))
    assert source.damaged == 0


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
    assert str(error).endswith("to go on, but no frame of it could be decoded for 1.2 s")


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_a_camera_with_a_password(scheme: str) -> None:
    with RtspServer(plays, password=("user", "a/b@c"), scheme=scheme) as server:
        frames, _ = seen(open_source(f"rtsp://user:a%2Fb%40c@{server.address}/live", timeout_s=LONG_S))
        assert numbers(frames) == list(range(30))
        with pytest.raises(SourceRefused, match="it refused access: check the user name and password") as caught:
            open_source(f"rtsp://user:wrong@{server.address}/live", timeout_s=LONG_S)
    assert isinstance(caught.value, InputError)
    assert "wrong" not in str(caught.value)


def test_a_redirection_to_another_camera_is_followed() -> None:
    with RtspServer(plays) as other, RtspServer(plays, redirect_to=other.url) as server:
        frames, _ = seen(open_source(server.url, timeout_s=LONG_S))
    assert numbers(frames) == list(range(30))
    assert [len(other.viewers), len(server.viewers)] == [1, 1]


@pytest.mark.parametrize("scheme", ["http", "tcp", "file", "pipe"])
def test_a_redirection_to_another_protocol_is_not_followed(scheme: str) -> None:
    with RtspServer(plays) as other:
        error = refusal(redirect_to=f"{scheme}://{other.address}/live")
        assert other.viewers == []
    assert type(error) is SourceUnreachable


def test_a_camera_that_offers_only_udp_is_tried_over_udp() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(20))

    frames, error = view(script, timeout_s=1, over=("udp",))
    assert numbers(frames) == times(frames) == list(range(20))
    assert type(error) is SourceSilent


def test_a_camera_is_read_over_tcp_if_it_offers_both() -> None:
    with RtspServer(plays) as server:
        seen(open_source(server.url, timeout_s=LONG_S))
        assert server.viewers[0].channel == "tcp"


def test_a_camera_that_offers_no_transport_is_told() -> None:
    error = refusal(over=())
    assert type(error) is SourceRefused
    assert str(error).endswith("but it offers neither TCP nor UDP (461 unsupported transport)")


@pytest.mark.parametrize(
    ("status", "kind"),
    [("404 Not Found", SourceRefused), ("454 Session Not Found", SourceRefused), ("503 Busy", SourceUnreachable)],
)
def test_what_a_server_answers_tells_whether_to_try_again(status: str, kind: type[SourceError]) -> None:
    assert type(refusal(status=status)) is kind


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
import resource, sys
from streamdet.errors import SourceError
from streamdet.video.source import open_source
from tests.live.film import number_in
numbers = []
try:
    with open_source(sys.argv[1], timeout_s=60, max_pixels=1_000_000) as source:
        for frame in source:
            numbers.append(number_in(frame.image))
except SourceError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, *numbers)
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
