"""Sound is copied packet by packet, unharmed, and ends where the video was cut."""

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.video import stream_copy
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source
from streamdet.video.stream_copy import StreamCopy

from .web import serving_files

MakeClip = Callable[..., Path]
Packets = list[tuple[Fraction, bytes]]


def sound_of(path: Path) -> list[Packets]:
    """Every audio stream as (time in s, payload) of its packets."""
    with av.open(str(path)) as container:
        streams: dict[int, Packets] = {stream.index: [] for stream in container.streams.audio}
        for packet in container.demux():
            if packet.pts is not None and packet.stream.type == "audio":
                streams[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet)))
    return list(streams.values())


def copy_video(source: Path | str, target: Path, *, max_frames: int | None = None, every: int = 1) -> list[str]:
    """Decode and encode; returns the warnings of the sink."""
    with open_source(source, max_frames=max_frames, every=every) as frames:
        with VideoSink(target, info=frames.info, audio_from=frames.audio_from) as sink:
            for frame in frames:
                sink.write(frame.image, frame.pts, frame.time_base)
        return sink.warnings


def add_sound(video: Path, target: Path, codec: str, seconds: float, rate: int = 48000) -> Path:
    """Copy the packets of `video` into `target` and add noise of `seconds` s."""
    with av.open(str(video)) as source, av.open(str(target), "w") as container:
        picture = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream(codec, rate=rate)
        sound.codec_context.layout = "stereo"
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                container.mux(packet)
        samples = np.random.default_rng(0).integers(-9000, 9000, (1, 2 * round(seconds * rate)), dtype=np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(
            sound.codec_context.format, "stereo", rate, sound.codec_context.frame_size or 1024
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return target


@pytest.mark.parametrize(("name", "streams"), [("car-detection.mp4", 1), ("nasa_13013.mp4", 2)])
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_all_sound_of_real_clips_is_copied(data: Path, tmp_path: Path, name: str, streams: int, ending: str) -> None:
    source = data / "videos" / name
    copy_video(source, tmp_path / f"out{ending}", every=4)
    before, after = sound_of(source), sound_of(tmp_path / f"out{ending}")
    assert len(before) == len(after) == streams
    for one, other in zip(before, after, strict=True):
        assert [payload for _, payload in other] == [payload for _, payload in one]
        # Matroska counts in ms.
        tolerance_s = Fraction(0) if ending == ".mp4" else Fraction(1, 1000)
        assert max(abs(a - b) for (a, _), (b, _) in zip(one, other, strict=True)) <= tolerance_s


def test_sound_ends_where_the_video_was_cut(data: Path, tmp_path: Path) -> None:
    source = data / "videos" / "car-detection.mp4"
    copy_video(source, tmp_path / "out.mp4", max_frames=100)
    (before,), (after,) = sound_of(source), sound_of(tmp_path / "out.mp4")
    assert after == [(time, payload) for time, payload in before if time < Fraction(100 * 2, 25)]


@pytest.mark.parametrize("every", [1, 3])
def test_sound_that_outlasts_the_video_is_kept(make_clip: MakeClip, tmp_path: Path, every: int) -> None:
    source = add_sound(make_clip(), tmp_path / "in.mp4", "aac", seconds=8)
    assert copy_video(source, tmp_path / "out.mp4", every=every) == []
    assert sound_of(tmp_path / "out.mp4") == sound_of(source)
    assert sound_of(source)[0][-1][0] > 7


@pytest.mark.parametrize("calls", [0, 5, 40])
def test_the_copy_of_sound_that_outlasts_the_video_can_be_stopped(
    make_clip: MakeClip, tmp_path: Path, calls: int
) -> None:
    source = add_sound(make_clip(), tmp_path / "in.mp4", "aac", seconds=8)
    asked = itertools.count()
    with (
        open_source(source) as frames,
        VideoSink(
            tmp_path / "out.mp4", info=frames.info, audio_from=str(source), stopped=lambda: next(asked) >= calls
        ) as sink,
    ):
        for frame in frames:
            sink.write(frame.image, frame.pts, frame.time_base)
    (before,), (after,) = sound_of(source), sound_of(tmp_path / "out.mp4")
    assert after == before[: len(after)]
    assert 3 < after[-1][0] < 4.1  # the video ends at 3 s
    with open_source(tmp_path / "out.mp4") as written:
        assert sum(1 for _ in written) == 30


def test_sound_that_starts_before_zero_does_not_move_the_pictures(make_clip: MakeClip, tmp_path: Path) -> None:
    source = add_sound(make_clip(), tmp_path / "in.mp4", "aac", seconds=3)
    assert sound_of(source)[0][0][0] < 0
    for ending in (".mp4", ".mkv"):
        copy_video(source, tmp_path / f"out{ending}")
        with open_source(tmp_path / f"out{ending}") as frames:
            assert [frame.time for frame in frames] == [Fraction(k, 10) for k in range(30)]


def test_sound_and_pictures_are_interleaved(data: Path, tmp_path: Path) -> None:
    copy_video(data / "videos" / "car-detection.mp4", tmp_path / "out.mkv", max_frames=150)
    latest: dict[str, float] = {"audio": 0.0, "video": 0.0}
    with av.open(str(tmp_path / "out.mkv")) as container:
        for packet in container.demux():
            if packet.pts is not None:
                latest[packet.stream.type] = float(packet.pts * packet.time_base)
                assert abs(latest["audio"] - latest["video"]) < 0.5


@pytest.mark.parametrize(
    ("codec", "carrier", "ending"),
    [("aac", ".mp4", ".webm"), ("pcm_s16le", ".mkv", ".mp4"), ("libopus", ".mkv", ".avi")],
)
def test_sound_that_does_not_fit_is_left_out_with_a_way_out(
    make_clip: MakeClip, tmp_path: Path, codec: str, carrier: str, ending: str
) -> None:
    source = add_sound(make_clip(), tmp_path / f"in{carrier}", codec, seconds=3)
    (warning,) = copy_video(source, tmp_path / f"out{ending}")
    assert "cannot hold the" in warning
    assert warning.endswith(f" sound of {source}, but .mkv can")
    assert sound_of(tmp_path / f"out{ending}") == []
    with open_source(tmp_path / f"out{ending}") as frames:
        assert sum(1 for _ in frames) == 30
    assert copy_video(source, tmp_path / "out2.mkv") == []
    assert [p for _, p in sound_of(tmp_path / "out2.mkv")[0]] == [p for _, p in sound_of(source)[0]]


def test_sound_whose_source_is_gone_is_a_warning(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip()
    with (
        open_source(source) as frames,
        VideoSink(tmp_path / "out.mp4", info=frames.info, audio_from="gone.mp4") as sink,
    ):
        for frame in frames:
            sink.write(frame.image, frame.pts, frame.time_base)
    assert len(sink.warnings) == 1
    assert "sound and subtitles could not be copied" in sink.warnings[0]
    with open_source(tmp_path / "out.mp4") as back:
        assert sum(1 for _ in back) == 30


def with_tiny_packets(clip: Path, count: int) -> Path:
    """Add `count` pictures of one byte to an AVI."""
    content = clip.read_bytes()
    end = content.rindex(b"idx1")
    clip.write_bytes(content[:end] + count * (b"00dc" + (1).to_bytes(4, "little") + b"x\0"))
    return clip


def declaring_sound(video: Path, target: Path) -> Path:
    """Copy `video` into a file that declares sound but holds none."""
    with av.open(str(video)) as source, av.open(str(target), "w") as container:
        picture = container.add_stream_from_template(source.streams.video[0])
        container.add_stream("pcm_s16le", rate=8000)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                container.mux(packet)
    return target


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_sound_that_is_only_declared_is_no_sound(make_clip: MakeClip, tmp_path: Path, ending: str) -> None:
    clip = declaring_sound(make_clip("b.avi"), tmp_path / "a.avi")
    assert copy_video(clip, tmp_path / f"out{ending}") == []
    assert sound_of(tmp_path / f"out{ending}") == []


def test_sound_that_is_only_declared_is_not_searched_for_without_end(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = with_tiny_packets(declaring_sound(make_clip("b.avi"), tmp_path / "a.avi"), 5000)
    monkeypatch.setattr(stream_copy, "_MOST_PASSED", 100)
    copy = StreamCopy(str(clip), "mp4")
    assert copy.time_bases == []
    assert copy.warnings == [f"the sound of {clip} begins too late to be recognized, and is left out"]
    assert sum(packet.size > 0 for packet in copy._packets) == 30 + 5000 - 100
    copy.close()


def test_sound_that_ends_early_is_not_searched_for_without_end(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two pictures, where a run can be stopped, so many packets are passed and no more."""
    clip = with_tiny_packets(add_sound(make_clip("b.avi"), tmp_path / "a.avi", "libmp3lame", 0.5), 5000)
    monkeypatch.setattr(stream_copy, "_MOST_PASSED", 100)
    copy = StreamCopy(str(clip), "mp4")
    with av.open(str(tmp_path / "out.mp4"), "w") as container:
        copy.attach(container, Fraction(0))
        copy.advance(Fraction(1))
        assert sum(packet.size > 0 for packet in copy._packets) > 4800
    copy.close()


def test_sound_after_a_long_pause_is_copied(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = add_sound(make_clip(ticks=range(100)), tmp_path / "a.mkv", "aac", 10.0)
    sound = sound_of(video)
    monkeypatch.setattr(stream_copy, "_MOST_PASSED", 2)
    assert copy_video(video, tmp_path / "b.mkv") == []
    assert [[payload for _, payload in packets] for packets in sound_of(tmp_path / "b.mkv")] == [
        [payload for _, payload in packets] for packets in sound
    ]


def test_a_silent_video_is_not_searched_for_sound(make_clip: MakeClip) -> None:
    copy = StreamCopy(str(make_clip(ticks=range(200))), "mp4")
    assert copy.time_bases == []
    # The first packet is still to come.
    assert next(copy._packets).pts == 0
    copy.close()


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_aac_of_a_transport_stream_is_copied_into_files(data: Path, tmp_path: Path, ending: str) -> None:
    source, target = data / "cases/video/av.ts", tmp_path / f"out{ending}"
    assert copy_video(source, target) == []
    with av.open(str(target)) as container, av.open(str(source)) as given:
        assert sum(1 for _ in container.decode(video=0)) == 40
        assert sum(1 for _ in given.decode(audio=0)) == len(sound_of(source)[0])
    with av.open(str(target)) as container:
        assert sum(1 for _ in container.decode(audio=0)) == len(sound_of(source)[0]) == 174


def test_sound_that_begins_late_is_kept_at_its_time(data: Path, tmp_path: Path) -> None:
    source, target = data / "cases/video/late_mp2.ts", tmp_path / "out.mkv"
    assert copy_video(source, target) == []
    (before,), (after,) = sound_of(source), sound_of(target)
    assert [payload for _, payload in after] == [payload for _, payload in before]
    assert float(after[0][0]) == pytest.approx(float(before[0][0]), abs=0.001) == pytest.approx(13.59, abs=0.01)


def test_warnings_about_sound_name_no_password(make_clip: MakeClip, tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    add_sound(make_clip(), folder / "clip.mp4", "aac", seconds=3)
    with serving_files(folder) as url:
        address = url.replace("://", "://user:s3cr3t@") + "/clip.mp4?token=s3cr3t"
        (warning,) = copy_video(address, tmp_path / "out.webm")
    assert warning.startswith("webm cannot hold the aac sound of http://127.0.0.1:")
    assert "s3cr3t" not in warning
