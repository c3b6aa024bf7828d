"""Recordings whose clock leaps, falls back or overflows: time goes on, one sentence says so, sound follows."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from streamdet.types import VideoInfo
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source
from streamdet.video.timestamps import Timestamps, true_rate

from .test_stream_copy import add_sound, sound_of

MakeClip = Callable[..., Path]
TICKS_PER_S = 90_000
PERIOD = TICKS_PER_S // 10


def read(path: Path) -> tuple[list[Fraction], list[str]]:
    """Return the times from the first frame on, in s, and the warnings."""
    with open_source(path) as source:
        times = [frame.time for frame in source]
    return [time - times[0] for time in times], source.warnings


@pytest.fixture
def join(make_clip: MakeClip, tmp_path: Path) -> Callable[..., Path]:
    """A function that joins two recordings of 20 frames at 10 Hz, the second of which begins at `start_s`."""

    def joined(start_s: float, first_s: float = 0) -> Path:
        parts = [
            make_clip(f"{k}.ts", [round(begin * TICKS_PER_S) + PERIOD * n for n in range(20)], Fraction(1, TICKS_PER_S))
            for k, begin in enumerate((first_s, start_s))
        ]
        path = tmp_path / "joined.ts"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        return path

    return joined


@pytest.mark.parametrize("hours", [0.01, 2, 8])
def test_after_a_leap_forward_time_goes_on(join: Callable[..., Path], hours: float) -> None:
    times, warnings = read(join(3600 * hours))
    assert times == [Fraction(k, 10) for k in range(40)]
    (warning,) = warnings
    assert warning.endswith("leaped forward once; the time in between is left out")


def test_after_a_jump_back_time_goes_on(join: Callable[..., Path]) -> None:
    times, warnings = read(join(10, first_s=500))
    assert times == [Fraction(k, 10) for k in range(40)]
    assert len(warnings) == 1


def test_a_pause_that_a_viewer_waits_for_is_kept(join: Callable[..., Path]) -> None:
    times, warnings = read(join(10))
    assert times == [Fraction(k, 10) for k in [*range(20), *range(100, 120)]]
    assert warnings == []


def test_a_clock_that_overflows_goes_on(make_clip: MakeClip) -> None:
    start = 2**33 - 10 * PERIOD
    path = make_clip("wrap.ts", [start + PERIOD * n for n in range(20)], Fraction(1, TICKS_PER_S))
    assert read(path) == ([Fraction(k, 10) for k in range(20)], [])


def test_a_long_pause_in_a_file_that_states_times_is_true(make_clip: MakeClip) -> None:
    times, warnings = read(make_clip("clip.mkv", [*range(10), *range(40_000, 40_010)]))
    assert times[9:11] == [Fraction(9, 10), Fraction(4000)]
    assert warnings == []


def test_two_recordings_of_which_the_second_is_of_two_hours_later(data: Path) -> None:
    times, warnings = read(data / "cases/video/ts_fwd_jump.ts")
    assert (len(times), times[-1], len(warnings)) == (80, Fraction(79, 10), 1)


def test_sound_follows_the_pictures_over_a_leap(make_clip: MakeClip, tmp_path: Path) -> None:
    parts = []
    for k, start_s in enumerate((10, 7210)):
        clip = make_clip(f"{k}.mp4", [PERIOD * n for n in range(20)], Fraction(1, TICKS_PER_S))
        with_sound = add_sound(clip, tmp_path / f"sound{k}.mp4", "mp2", seconds=2)
        parts.append(moved(with_sound, tmp_path / f"{k}.ts", start_s))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with (
        open_source(joined) as source,
        VideoSink(tmp_path / "out.mkv", info=source.info, audio_from=str(joined)) as sink,
    ):
        times = []
        for frame in source:
            times.append(float(frame.time))
            sink.write(frame.image, frame.pts, frame.time_base)
    assert sink.warnings == []
    (packets,) = sound_of(tmp_path / "out.mkv")
    # The sound of the first recording outlasts its pictures, by less than a packet.
    assert len(packets) >= sum(len(sound_of(part)[0]) for part in parts) - 1
    at = [float(time) for time, _ in packets]
    assert at[0] == pytest.approx(times[0], abs=0.1)
    assert at[-1] == pytest.approx(times[-1], abs=0.15)
    assert max(later - earlier for earlier, later in pairwise(at)) < 0.2


def moved(source: Path, target: Path, start_s: int) -> Path:
    """Copy the packets of `source`, which begins at 0, so that `target` begins at `start_s`."""
    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        streams = [container.add_stream_from_template(stream) for stream in given.streams]
        for packet in given.demux():
            if packet.dts is not None and packet.pts is not None:
                shift = round(start_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    return target


def test_one_wrong_time_does_not_move_those_after_the_next() -> None:
    times = Timestamps(period=10, restart=100, leap=1000)
    assert [times.next(pts) for pts in (0, 10, 90_000, 30, 40)] == [0, 10, 20, 30, 40]
    assert (times.leaps, times.repaired) == (1, 1)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ([Fraction(1000), None], Fraction(10)),
        ([Fraction(600), Fraction(600)], Fraction(10)),
        ([None, None], Fraction(10)),
        ([Fraction(1), Fraction(10)], Fraction(10)),
        ([Fraction(12), Fraction(1000)], Fraction(12)),
    ],
)
def test_a_declared_rate_must_agree_with_the_times(declared: list[Fraction | None], expected: Fraction) -> None:
    assert true_rate(declared, [Fraction(k, 10) for k in (3, 1, 2, 0, 4)]) == expected


def test_a_rate_is_believed_where_there_are_no_times() -> None:
    assert true_rate([None, Fraction(240)], []) == 240
    assert true_rate([None, Fraction(90_000)], []) is None


@pytest.mark.parametrize("name", ["claimed.mkv", "claimed.avi"])
def test_a_rate_of_the_clock_is_not_that_of_the_frames(tmp_path: Path, name: str) -> None:
    """A browser claims 1000 Hz for what comes at 25; old AVI counts at 600 Hz."""
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=600)
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 32, 32, "yuvj420p"
        for k in range(30):
            frame = av.VideoFrame(32, 32, "yuvj420p")
            frame.pts, frame.time_base = 24 * k, Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_source(path) as source:
        assert source.info.frame_rate == 25
        assert [frame.time for frame in source] == [Fraction(k, 25) for k in range(30)]


def test_the_rate_of_a_clip_from_a_browser(data: Path) -> None:
    with open_source(data / "cases/video/browser.webm") as source:
        info: VideoInfo = source.info
    assert info.frame_rate is not None
    assert 9 < info.frame_rate < 11
