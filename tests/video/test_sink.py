"""The written video: times, colours, sizes, and what players require."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]
INFO = VideoInfo(96, 64, Fraction(10), None, live=False)


def rewrite(source: Path, target: Path, max_frames: int | None = None) -> tuple[list[Fraction], list[Fraction]]:
    """Decode `source`, encode it into `target`; return the times of both."""
    with open_source(source, max_frames=max_frames) as frames:
        with VideoSink(target, info=frames.info, audio_from=frames.audio_from) as sink:
            times = []
            for frame in frames:
                times.append(frame.time)
                sink.write(frame.image.copy(), frame.pts, frame.time_base)
        assert sink.warnings == []
    return times, times_of(target)


def times_of(path: Path) -> list[Fraction]:
    with open_source(path) as source:
        times = [frame.time for frame in source]
        assert source.warnings == []
    return times


def grey(level: int, height: int = 64, width: int = 96) -> UInt8Array:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("name", ["vtest.avi", "car-detection.mp4", "nasa_13013.mp4", "av1_video.mkv"])
def test_real_clips_keep_every_time(data: Path, tmp_path: Path, name: str) -> None:
    before, after = rewrite(data / "videos" / name, tmp_path / "out.mp4")
    assert len(after) == {"vtest.avi": 795, "car-detection.mp4": 377, "nasa_13013.mp4": 390, "av1_video.mkv": 125}[name]
    assert after == before


@pytest.mark.parametrize(
    ("ticks", "time_base"),
    [
        ([3000 + 500 * k + 37 * k * k for k in range(40)], Fraction(1, 25000)),
        (range(7, 47), Fraction(1, 10)),
        ([33 * k + k % 2 for k in range(40)], Fraction(1, 1000)),
        ([3003 + 1001 * k for k in range(40)], Fraction(1, 30000)),
        ([9_000_000 + 3600 * k for k in range(40)], Fraction(1, 90000)),
    ],
)
@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_times_of_any_kind_are_kept_exactly(
    make_clip: MakeClip, tmp_path: Path, ticks: Sequence[int], time_base: Fraction, ending: str
) -> None:
    source = make_clip("in.mkv" if time_base.denominator == 1000 else "in.mp4", ticks=ticks, time_base=time_base)
    before, after = rewrite(source, tmp_path / f"out{ending}")
    assert before == [pts * time_base for pts in ticks]
    assert after == before


@pytest.mark.parametrize(("ending", "tick_s"), [(".mkv", 0.001), (".webm", 0.001), (".avi", 0.1)])
def test_other_containers_keep_times_to_their_tick(
    make_clip: MakeClip, tmp_path: Path, ending: str, tick_s: float
) -> None:
    before, after = rewrite(make_clip(), tmp_path / f"out{ending}")
    assert len(after) == len(before) == 30
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < tick_s / 2


def test_a_live_source_starts_at_zero(tmp_path: Path) -> None:
    info = VideoInfo(96, 64, Fraction(10), None, live=True)
    with VideoSink(tmp_path / "out.mp4", info=info) as sink:
        for k in range(20):
            sink.write(grey(100), 8_100_000_000 + 9000 * k, Fraction(1, 90000))
    assert times_of(tmp_path / "out.mp4") == [Fraction(k, 10) for k in range(20)]


def test_times_before_zero_move_to_zero(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "out.mp4", info=INFO) as sink:
        for k in range(-3, 7):
            sink.write(grey(100), k, Fraction(1, 10))
    assert times_of(tmp_path / "out.mp4") == [Fraction(k, 10) for k in range(10)]


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".avi"])
def test_the_video_is_what_browsers_play(tmp_path: Path, ending: str) -> None:
    with VideoSink(tmp_path / f"out{ending}", info=INFO) as sink:
        for k in range(10):
            sink.write(grey(20 * k), k, Fraction(1, 10))
    with av.open(str(tmp_path / f"out{ending}")) as container:
        context = container.streams.video[0].codec_context
        assert (context.codec.canonical_name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
        assert not context.has_b_frames
    if ending in (".mp4", ".mov"):
        content = (tmp_path / f"out{ending}").read_bytes()
        assert b"moof" not in content.split(b"mdat")[0]
        assert content.count(b"moov") >= 1


def test_webm_holds_vp9(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "out.webm", info=INFO) as sink:
        for k in range(10):
            sink.write(grey(20 * k), k, Fraction(1, 10))
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == "vp9"


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40)])
@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_colours_survive(tmp_path: Path, colour: tuple[int, int, int], ending: str) -> None:
    with VideoSink(tmp_path / f"out{ending}", info=INFO) as sink:
        for k in range(3):
            sink.write(np.full((64, 96, 3), colour, np.uint8), k, Fraction(1, 10))
    with open_source(tmp_path / f"out{ending}") as source:
        assert np.abs(next(source).image[32, 48].astype(int) - colour).max() <= 5


def test_odd_sizes_are_padded_with_their_edge(tmp_path: Path) -> None:
    image = np.tile(np.linspace(40, 200, 101, dtype=np.uint8)[None, :, None], (67, 1, 3))
    with VideoSink(tmp_path / "out.mp4", info=INFO) as sink:
        sink.write(image, 0, Fraction(1, 10))
    with open_source(tmp_path / "out.mp4") as source:
        back = next(source).image.astype(int)
    assert back.shape == (68, 102, 3)
    assert np.abs(back[:67, :101] - image).max() <= 8
    assert np.abs(back[67, :101] - image[66]).max() <= 8
    assert np.abs(back[:67, 101] - image[:, 100]).max() <= 8


def test_the_shape_of_pixels_is_kept(tmp_path: Path) -> None:
    info = VideoInfo(96, 64, Fraction(10), None, live=False, sample_aspect_ratio=Fraction(16, 11))
    for ending in (".mp4", ".mkv", ".avi", ".webm"):
        with VideoSink(tmp_path / f"out{ending}", info=info) as sink:
            sink.write(grey(100), 0, Fraction(1, 10))
        assert sink.warnings == []
        with open_source(tmp_path / f"out{ending}") as source:
            shown = source.info.width * source.info.sample_aspect_ratio / source.info.height
            assert float(shown) == pytest.approx(96 / 64 * 16 / 11, rel=0.01)


def test_a_change_of_size_is_scaled_with_one_warning(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "out.mp4", info=INFO) as sink:
        for k in range(6):
            sink.write(grey(100) if k < 3 else grey(200, 128, 192), k, Fraction(1, 10))
    assert len(sink.warnings) == 1
    assert "the picture size changed" in sink.warnings[0]
    with open_source(tmp_path / "out.mp4") as source:
        frames = list(source)
    assert {frame.image.shape for frame in frames} == {(64, 96, 3)}
    assert [round(float(np.mean(frame.image)) / 100) for frame in frames] == [1, 1, 1, 2, 2, 2]


def test_read_only_and_strided_images_are_accepted(tmp_path: Path) -> None:
    image = np.zeros((64, 192, 3), np.uint8)
    image[:, ::2] = 180
    image.flags.writeable = False
    with VideoSink(tmp_path / "out.mp4", info=INFO) as sink:
        sink.write(image[:, ::2], 0, Fraction(1, 10))
        sink.write(image[:, 1::2], 1, Fraction(1, 10))
    with open_source(tmp_path / "out.mp4") as source:
        assert [round(float(np.mean(frame.image)), -1) for frame in source] == [180, 0]


def test_memory_stays_flat(tmp_path: Path) -> None:
    """In a process of its own: after the first frames, neither encoding nor decoding may add more than 6 frames."""
    pytest.importorskip("resource")
    script = """
import resource, sys
from fractions import Fraction
import numpy as np
from streamdet.types import VideoInfo
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

noise = np.random.default_rng(0).integers(0, 255, (1280, 720, 3), dtype=np.uint8).reshape(720, 1280, 3)
def peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
path, info, peaks = sys.argv[1], VideoInfo(1280, 720, Fraction(30), None, live=False), []
with VideoSink(path, info=info) as sink:
    for k in range(300):
        sink.write(np.roll(noise // 8, k, axis=1), k, Fraction(1, 30))
        if k == 150:
            peaks.append(peak_kib())
    peaks.append(peak_kib())
with open_source(path) as source:
    for frame in source:
        if frame.index == 100:
            peaks.append(peak_kib())
peaks.append(peak_kib())
print(*peaks)
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "long.mp4")], capture_output=True, text=True, check=True
    )
    encode_early, encode_late, decode_early, decode_late = map(int, result.stdout.split())
    frame_kib = 1280 * 720 * 3 // 1024
    assert encode_late - encode_early < 6 * frame_kib
    assert decode_late - decode_early < 6 * frame_kib


@pytest.mark.parametrize("name", ["out", "out.gif", "out.txt"])
def test_an_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        VideoSink(tmp_path / name, info=INFO)
    assert str(caught.value) == f"expected a video file ending in .mp4, .mov, .mkv, .avi, .webm, found '{name}'"


@pytest.mark.parametrize(
    ("name", "pause_s", "is_left_out"),
    [("a.mp4", 23_800, False), ("a.mp4", 23_900, True), ("a.mov", 90_000, True), ("a.mkv", 90_000, False)],
)
def test_a_pause_that_the_format_cannot_tell_is_left_out(
    tmp_path: Path, name: str, pause_s: int, is_left_out: bool
) -> None:
    """MP4 counts the ticks of a picture in 32 bits: 6.6 h at 90 kHz, beyond which all later ones came at once."""
    ticks_per_s, path = 90_000, tmp_path / name
    times = [Fraction(k, 25) for k in range(10)] + [pause_s + Fraction(k, 25) for k in range(10, 20)]
    with VideoSink(path, info=VideoInfo(64, 48, Fraction(25), None, live=True)) as sink:
        for time in times:
            sink.write(np.zeros((48, 64, 3), np.uint8), int(time * ticks_per_s), Fraction(1, ticks_per_s))
    with av.open(str(path)) as container:
        found = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    expected = [Fraction(k, 25) for k in range(20)] if is_left_out else times
    assert [float(time) for time in found] == pytest.approx([float(time) for time in expected], abs=1e-3)
    assert len(sink.warnings) == is_left_out
