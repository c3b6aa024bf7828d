"""Cameras that fail in every way that a server can be told to: what comes is true, and the error says what may help."""

from __future__ import annotations

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
from streamdet.video.source import open_source
from tests.live.film import KEY_INTERVAL, RATE, film, garbled, rtp_payloads
from tests.live.rtp import PERIOD, TICKS_PER_S
from tests.live.rtsp_server import RtspServer, Script, Viewer
from tests.live.viewing import BRIEF_S, LONG_S, numbers, plays, plays_on, refusal, seen, times, view


def test_pictures_of_a_camera_come_in_order_at_their_times() -> None:
    frames, error = view(plays)
    assert numbers(frames) == times(frames) == [frame.index for frame in frames] == list(range(30))
    assert type(error) is SourceEnded


def test_a_camera_is_open_after_a_few_pictures() -> None:
    """FFmpeg itself waits for 29 of them, more than a second."""
    is_open, came_late = threading.Event(), []

    def script(viewer: Viewer) -> None:
        viewer.send(range(16))
        if not is_open.wait(LONG_S / 2):
            came_late.append(16)
        viewer.send(range(16, 30))
        viewer.close()

    with RtspServer(script) as server:
        source = open_source(server.url, timeout_s=LONG_S)
        is_open.set()
        frames, _ = seen(source)
    assert came_late == []
    assert numbers(frames) == times(frames) == list(range(30))


@pytest.mark.parametrize("pictures", [Fraction(1, 2), Fraction(5, 2)])
def test_a_camera_that_declares_another_rate_than_it_has(pictures: Fraction) -> None:
    """Its pictures come half a period, or two and a half, apart: a wrong rate is believed up to a factor of 2."""

    def script(viewer: Viewer) -> None:
        for number in range(60):
            viewer.send([number])
            viewer.clock += round((pictures - 1) * PERIOD)
        viewer.close()

    with RtspServer(script) as server, open_source(server.url, timeout_s=LONG_S) as source:
        assert source.info.frame_rate == (RATE if pictures < 1 else RATE / pictures)


@pytest.mark.parametrize("goes", [lambda viewer: None, Viewer.vanish])
def test_a_camera_that_stalls_is_silent(goes: Script) -> None:
    """One that has lost its power looks the same: the connection is half open."""

    def script(viewer: Viewer) -> None:
        viewer.send(range(20))
        goes(viewer)

    frames, error = view(script, BRIEF_S)
    assert numbers(frames) == list(range(20))
    assert type(error) is SourceSilent
    assert str(error).endswith(f"to go on, but no frame came for {BRIEF_S:g} s")


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
    assert numbers(frames) == times(frames) == [*range(13), *range(20, 40)]


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
    assert numbers(frames) == times(frames) == [*range(20), *range(30, 40)]


def test_a_damaged_picture_and_those_that_refer_to_it_are_counted_and_not_shown() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(13))
        viewer.send([13], change=garbled)
        viewer.send(range(14, 30))
        viewer.close()

    with RtspServer(script) as server:
        source = open_source(server.url, timeout_s=LONG_S)
        frames, _ = seen(source)
    assert source.damaged == 7
    assert numbers(frames) == times(frames) == [*range(13), *range(20, 30)]


def test_a_camera_that_is_joined_between_two_key_frames_shows_the_second() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(3, 30))
        viewer.close()

    with RtspServer(script) as server:
        source = open_source(server.url, timeout_s=LONG_S)
        frames, _ = seen(source)
    assert numbers(frames) == list(range(KEY_INTERVAL, 30))
    assert source.damaged == 0


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


def test_a_camera_is_read_over_udp_if_asked_for() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(20))

    with RtspServer(script) as server:
        frames, _ = seen(open_source(server.url, timeout_s=1, rtsp_transport="udp"))
        assert server.viewers[0].channel == "udp"
    assert numbers(frames) == times(frames) == list(range(20))


def test_a_camera_that_offers_only_tcp_is_read_over_tcp() -> None:
    with RtspServer(plays, over=("tcp",)) as server:
        frames, _ = seen(open_source(server.url, timeout_s=LONG_S, rtsp_transport="udp"))
    assert numbers(frames) == list(range(30))


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
