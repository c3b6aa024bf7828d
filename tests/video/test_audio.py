"""Sound is copied packet by packet, unharmed, and ends where the video was cut."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.video.audio import AudioCopy
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

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
    assert copy_video(source, tmp_path / f"out{ending}", every=4) == []
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
    assert "does not fit into" in warning
    assert "write to .mkv to keep it" in warning
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
    assert "the sound could not be copied" in sink.warnings[0]
    with open_source(tmp_path / "out.mp4") as back:
        assert sum(1 for _ in back) == 30


def test_a_silent_video_is_not_searched_for_sound(make_clip: MakeClip) -> None:
    copy = AudioCopy(str(make_clip(ticks=range(200))), "mp4")
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
    assert warning.startswith("the aac sound of http://127.0.0.1:")
    assert "s3cr3t" not in warning
