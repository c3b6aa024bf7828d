"""When pictures were taken, by the clock of a camera that reports it, beside what is drawn into them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from streamdet.pipeline.pipeline import Pipeline
from streamdet.types import Frame
from streamdet.video.capture_clock import CaptureClock
from streamdet.video.source import open_source
from tests.live.counter import number_in
from tests.live.film import RATE
from tests.live.rtp import EPOCH_S, NTP_EPOCH_S, TICKS_PER_S
from tests.live.rtsp_server import RtspServer, Script, Viewer
from tests.live.viewing import LONG_S, seen, times
from tests.pipeline.fakes import FakeSession

FIRST = 12  # the first picture after a report
ERROR_S = 1e-5  # FFmpeg counts in µs


def watched(script: Script, sound: bool = False) -> list[Frame]:
    """Play `script`, and return the frames; none of them has another time than the picture that is drawn into it."""
    with RtspServer(script, sound=sound) as server:
        frames, _ = seen(open_source(server.url, timeout_s=LONG_S))
    assert times(frames) == [number_in(frame.image) for frame in frames]
    return frames


def drawn_s(frame: Frame) -> float:
    """Return when the picture was taken, by what is drawn into it."""
    return float(EPOCH_S + number_in(frame.image) / RATE)


def reports(viewer: Viewer) -> None:
    """Send a report before picture `FIRST`, and one every 10 pictures."""
    viewer.send(range(FIRST))
    for start in range(FIRST, 52, 10):
        viewer.report(start)
        viewer.send(range(start, start + 10))
    viewer.close()


def test_after_the_first_report_capture_times_are_those_of_the_camera() -> None:
    frames = watched(reports)
    assert [frame.clock for frame in frames] == FIRST * ["arrival"] + 40 * ["rtcp"]
    assert [frame.captured_at for frame in frames[:FIRST]] == FIRST * [None]
    assert [frame.captured_at for frame in frames[FIRST:]] == pytest.approx(
        [drawn_s(frame) for frame in frames[FIRST:]], abs=ERROR_S
    )


def test_results_of_a_run_tell_the_capture_time() -> None:
    with RtspServer(reports) as server, Pipeline.from_session(FakeSession()) as pipeline:
        run = pipeline.run(server.url, timeout_s=LONG_S)
        frame = next(result.frame for result in run if result.frame.clock == "rtcp")
        run.cancel()
    assert frame.captured_at == pytest.approx(drawn_s(frame), abs=ERROR_S)


def test_a_report_in_the_middle_of_a_picture_counts() -> None:
    """Its first packet came before the report, its last one after it."""

    def script(viewer: Viewer) -> None:
        viewer.send(range(20))
        first, *rest = viewer.reel.access_unit(20)
        viewer.send_units([first], 20)
        viewer.report(20)
        viewer.send_units(rest, 20)
        viewer.send(range(21, 40))
        viewer.close()

    frames = watched(script)
    assert [frame.captured_at for frame in frames[21:]] == pytest.approx(
        [drawn_s(frame) for frame in frames[21:]], abs=ERROR_S
    )


def test_a_camera_without_reports_tells_no_capture_time() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(30))
        viewer.close()

    assert {(frame.captured_at, frame.clock) for frame in watched(script)} == {(None, "arrival")}


@pytest.mark.parametrize("error_s", [-3600, Fraction(1, 4), 10**7])
def test_the_clock_of_a_camera_is_reported_as_it_is(error_s: Fraction) -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(20))
        viewer.report(20, error_s=error_s)
        viewer.send(range(20, 40))
        viewer.close()

    frames = watched(script)
    expected = [drawn_s(frame) + float(error_s) for frame in frames[20:]]
    assert [frame.captured_at for frame in frames[20:]] == pytest.approx(expected, abs=ERROR_S)


@pytest.mark.parametrize("sound", [False, True])
def test_a_clock_that_is_set_in_mid_stream_moves_no_other_time(sound: bool) -> None:
    def script(viewer: Viewer) -> None:
        for start, error_s in ((0, 0), (20, 0.5), (40, -8)):
            viewer.report(start, error_s=error_s)
            viewer.send(range(start, start + 20))
        viewer.close()

    frames = watched(script, sound)
    expected = [drawn_s(frame) + (0, 0.5, -8)[number_in(frame.image) // 20] for frame in frames]
    assert [frame.captured_at for frame in frames[1:]] == pytest.approx(expected[1:], abs=ERROR_S)


def test_a_clock_that_runs_fast_is_followed_from_report_to_report() -> None:
    """One that gains 10 ms in each second: within 5 ms of itself, with a report every 0.4 s."""

    def script(viewer: Viewer) -> None:
        for start in range(0, 60, 10):
            viewer.report(start, error_s=Fraction(start, 25 * 100))
            viewer.send(range(start, start + 10))
        viewer.close()

    for frame in watched(script)[1:]:
        assert frame.captured_at == pytest.approx(drawn_s(frame) + number_in(frame.image) / 2500, abs=0.005)


def test_a_camera_without_a_clock_reports_nothing() -> None:
    """It sends 0 for the time of day (RFC 3550, section 6.4.1)."""

    def script(viewer: Viewer) -> None:
        viewer.send(range(20))
        viewer.report(20, error_s=-EPOCH_S - 20 / RATE - NTP_EPOCH_S)
        viewer.send(range(20, 40))
        viewer.close()

    assert {frame.clock for frame in watched(script)} == {"arrival"}


@pytest.mark.parametrize("hours", [-1, 1, 7])
def test_when_the_packets_clock_jumps_the_capture_time_is_unknown_until_the_next_report(hours: int) -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(10))
        viewer.report(10)
        viewer.send(range(10, 20))
        viewer.clock += hours * 3600 * TICKS_PER_S
        viewer.send(range(20, 30))
        viewer.report(30)
        viewer.send(range(30, 40))
        viewer.close()

    frames = watched(script)
    assert [frame.clock for frame in frames] == 10 * ["arrival"] + 10 * ["rtcp"] + 10 * ["arrival"] + 10 * ["rtcp"]
    assert [frame.captured_at for frame in frames[30:]] == pytest.approx(
        [drawn_s(frame) for frame in frames[30:]], abs=ERROR_S
    )


def test_a_file_without_reference_times_tells_no_capture_time(data: Path) -> None:
    with open_source(data / "videos" / "car-detection.mp4", max_frames=3) as frames:
        assert {(frame.captured_at, frame.clock) for frame in frames} == {(None, "arrival")}


def test_reference_times_of_a_container_are_its_clock() -> None:
    """As of FFmpeg 8 only RTP gives packets such times: what comes over RTP stands for what a container would hold."""
    clock = CaptureClock("mov,mp4")
    found: dict[int, tuple[float | None, str]] = {}
    with RtspServer(reports) as server, av.open(server.url, options={"rtsp_transport": "tcp"}) as container:
        for packet in container.demux(video=0):
            clock.add(packet)
            if packet.pts is not None:
                found[packet.pts] = clock.time_of(packet.pts)
    known = {pts: told for pts, told in found.items() if told != (None, "arrival")}
    assert len(known) == 40
    for pts, (captured_s, name) in known.items():
        assert name == "container"
        assert captured_s == pytest.approx(float(EPOCH_S + Fraction(pts, TICKS_PER_S)), abs=ERROR_S)


def test_ffmpeg_does_not_read_the_reference_times_that_it_writes(tmp_path: Path) -> None:
    """A box 'prft' ahead of each fragment (ISO/IEC 14496-12, section 8.16.5) remains unread: the clock is unknown."""
    path = tmp_path / "prft.mp4"
    options = {"movflags": "frag_keyframe+empty_moov", "write_prft": "wallclock"}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10"})
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 64, 48, "yuv420p"
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    assert path.read_bytes().count(b"prft") >= 3
    with open_source(path) as frames:
        assert {(frame.captured_at, frame.clock) for frame in frames} == {(None, "arrival")}
