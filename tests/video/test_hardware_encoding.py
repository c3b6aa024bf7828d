"""A GPU encodes if it passes a trial; a video that it then refuses is written by the CPU."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamdet.errors import OutputError
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video import encoder, movie
from streamdet.video.encoder import NVENC, X264, VideoEncoder, encoders, encoding_error, nvenc_refusal
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

INFO = VideoInfo(96, 64, Fraction(10), None, live=False)


@pytest.fixture(autouse=True)
def ask_anew() -> Iterator[None]:
    nvenc_refusal.cache_clear()
    yield
    nvenc_refusal.cache_clear()


def write(path: Path, *, audio_from: str | None = None, count: int = 20) -> None:
    with VideoSink(path, info=INFO, audio_from=audio_from) as sink:
        for k in range(count):
            sink.write(np.full((64, 96, 3), 10 * k, np.uint8), k, Fraction(1, 10))
    assert sink.warnings == []


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.video[0].codec_context.codec.canonical_name)


def assert_whole(path: Path, count: int = 20) -> None:
    with open_source(path, decode="software") as source:
        frames = list(source)
        assert source.warnings == []
    assert [frame.time for frame in frames] == [Fraction(k, 10) for k in range(count)]
    assert np.abs([float(np.mean(frame.image)) - 10 * frame.index for frame in frames]).max() <= 4


def test_the_trial_passes_an_encoder_that_works() -> None:
    assert encoding_error(X264) is None


def test_the_trial_says_why_an_encoder_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoder._OPTIONS, "no-such-codec", {})
    assert encoding_error("no-such-codec") == "FFmpeg is built without no-such-codec"
    monkeypatch.setitem(encoder._OPTIONS, X264, {"preset": "no-such-preset"})
    assert encoding_error(X264) == "invalid argument"


@pytest.mark.parametrize("fault", ["dark", "late", "few"])
def test_the_trial_finds_what_comes_back_wrong(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    class Faulty(VideoEncoder):
        def encode(self, image: UInt8Array, pts: int) -> list[av.Packet]:
            if fault == "few" and pts == 2:
                return []
            return super().encode(image // 2 if fault == "dark" else image, 2 * pts if fault == "late" else pts)

    monkeypatch.setattr(encoder, "VideoEncoder", Faulty)
    assert encoding_error(X264) == "its pictures came back with other times or greys"


def test_the_gpu_is_tried_once_and_only_for_h264(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(encoder, "encoding_error", tried.append)
    assert encoders("libvpx-vp9") == ["libvpx-vp9"]
    assert tried == []
    assert encoders(X264) == encoders(X264) == [NVENC, X264]
    assert tried == [NVENC]


def test_a_gpu_that_failed_the_trial_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "encoding_error", lambda codec: "no")
    assert encoders(X264) == [X264]


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".avi"])
def test_an_encoder_that_passed_the_trial_writes_the_video(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str
) -> None:
    # MPEG-4 part 2 stands for the GPU's H.264: the file shows who wrote it.
    monkeypatch.setitem(encoder._OPTIONS, "mpeg4", {"qmax": "2"})
    monkeypatch.setattr(movie, "encoders", lambda software: ["mpeg4", software])
    write(tmp_path / f"out{ending}")
    assert codec_of(tmp_path / f"out{ending}") == "mpeg4"
    assert_whole(tmp_path / f"out{ending}")


def refuse(monkeypatch: pytest.MonkeyPatch, *codecs: str) -> list[str]:
    """Let `codecs` not open, as when a GPU has no session left; return the list of those that were asked for."""
    asked: list[str] = []

    class Refusing(VideoEncoder):
        def __init__(self, container: Any, codec: str, *rest: Any) -> None:
            asked.append(codec)
            super().__init__(container, codec, *rest)
            if codec in codecs:
                raise av.ExternalError(0, "no session left")

    monkeypatch.setattr(movie, "VideoEncoder", Refusing)
    monkeypatch.setitem(encoder._OPTIONS, "mpeg4", {})
    monkeypatch.setattr(movie, "encoders", lambda software: ["mpeg4", software])
    return asked


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".avi"])
def test_a_gpu_without_a_session_left_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str) -> None:
    asked = refuse(monkeypatch, "mpeg4")
    write(tmp_path / f"out{ending}")
    assert asked == ["mpeg4", X264]
    assert codec_of(tmp_path / f"out{ending}") == "h264"
    assert_whole(tmp_path / f"out{ending}")


def test_the_sound_is_copied_once_though_two_encoders_were_tried(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    refuse(monkeypatch, "mpeg4")
    write(tmp_path / "out.mp4", audio_from=str(data / "videos" / "car-detection.mp4"))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert (len(container.streams.video), len(container.streams.audio)) == (1, 1)
        assert sum(packet.pts is not None for packet in container.demux(audio=0)) == 94  # 2 s of 1024 at 48 kHz
    assert_whole(tmp_path / "out.mp4")


def test_when_the_cpu_refuses_too_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refuse(monkeypatch, "mpeg4", X264)
    with pytest.raises(OutputError) as caught:
        write(tmp_path / "out.mp4")
    assert str(caught.value) == f"expected to write {tmp_path / 'out.mp4'}, but no session left"


def test_the_real_encoder_of_a_missing_gpu_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if nvenc_refusal() is None:
        pytest.skip("this machine's GPU encodes")
    monkeypatch.setattr(movie, "encoders", lambda software: [NVENC, software])
    write(tmp_path / "out.mp4")
    assert codec_of(tmp_path / "out.mp4") == "h264"
    assert_whole(tmp_path / "out.mp4")


@pytest.mark.gpu
def test_a_real_gpu_writes_what_players_need(tmp_path: Path) -> None:
    if (refusal := nvenc_refusal()) is not None:
        pytest.skip(f"this GPU does not encode: {refusal}")
    info = VideoInfo(256, 256, Fraction(10), None, live=False)
    with VideoSink(tmp_path / "out.mp4", info=info) as sink:
        for k in range(20):
            sink.write(np.full((256, 256, 3), 10 * k, np.uint8), k, Fraction(1, 10))
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.codec.canonical_name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
        assert not context.has_b_frames
    assert_whole(tmp_path / "out.mp4")
