"""Subtitles are copied with their times where the container of the result can hold them."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from streamdet.video.source import open_source

from .test_stream_copy import copy_video

MakeClip = Callable[..., Path]
# Start and length in ms, and text; the last two are shown after the last picture of `make_clip`.
CUES = [(300, 400, "Guten Tag"), (700, 200, "¿qué?"), (1800, 500, "the end"), (3200, 300, "credits"), (3600, 100, "©")]


def coded(codec: str, text: str) -> bytes:
    """Return a packet of `codec` with `text`: MPEG-4 timed text (3GPP TS 26.245) begins with its length in bytes."""
    data = text.encode()
    return len(data).to_bytes(2, "big") + data if codec == "mov_text" else data


def add_subtitles(video: Path, target: Path, codec: str, cues: list[tuple[int, int, str]], language: str) -> Path:
    """Copy the packets of `video` into `target` and add `cues`."""
    with av.open(str(video)) as source, av.open(str(target), "w") as container:
        picture = container.add_stream_from_template(source.streams.video[0])
        texts = container.add_mux_stream(codec, time_base=Fraction(1, 1000))
        texts.metadata["language"] = language
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                container.mux(packet)
        for start, length, text in cues:
            packet = av.Packet(coded(codec, text))
            packet.pts = packet.dts = start
            packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), texts
            container.mux(packet)
    return target


def subtitles_of(path: Path) -> list[tuple[str | None, list[tuple[Fraction, Fraction, bytes]]]]:
    """Return the language of each stream of subtitles, and start and length in s and payload of its texts."""
    with av.open(str(path)) as container:
        found: dict[int, list[tuple[Fraction, Fraction, bytes]]] = {
            each.index: [] for each in container.streams.subtitles
        }
        for packet in container.demux():
            # The text between two texts of an MP4 is empty.
            if packet.stream.index in found and bytes(packet).strip(b"\0"):
                base = Fraction(packet.time_base)
                found[packet.stream.index].append((packet.pts * base, (packet.duration or 0) * base, bytes(packet)))
        return [(each.language, found[each.index]) for each in container.streams.subtitles]


@pytest.mark.parametrize(
    ("codec", "carrier", "ending"),
    [
        ("subrip", ".mkv", ".mkv"),
        ("ass", ".mkv", ".mkv"),
        ("webvtt", ".mkv", ".mkv"),
        ("webvtt", ".mkv", ".webm"),
        ("mov_text", ".mp4", ".mp4"),
    ],
)
def test_texts_keep_their_times_and_language(
    make_clip: MakeClip, tmp_path: Path, codec: str, carrier: str, ending: str
) -> None:
    source = add_subtitles(make_clip(), tmp_path / f"in{carrier}", codec, CUES, "spa")
    assert copy_video(source, tmp_path / f"out{ending}") == []
    texts = [(Fraction(start, 1000), Fraction(length, 1000), coded(codec, text)) for start, length, text in CUES]
    assert subtitles_of(tmp_path / f"out{ending}") == [("spa", texts)]
    with open_source(tmp_path / f"out{ending}") as frames:
        assert [frame.time for frame in frames] == [Fraction(k, 10) for k in range(30)]


def test_texts_that_are_shown_at_the_same_time_are_all_copied(make_clip: MakeClip, tmp_path: Path) -> None:
    cues = [(500, 900, "above"), (500, 400, "below"), (900, 400, "below again")]
    source = add_subtitles(make_clip(), tmp_path / "in.mkv", "subrip", cues, "eng")
    copy_video(source, tmp_path / "out.mkv")
    assert subtitles_of(tmp_path / "out.mkv") == subtitles_of(source)
    assert [text for _, _, text in subtitles_of(source)[0][1]] == [b"above", b"below", b"below again"]


def test_subtitles_end_where_the_video_was_cut(make_clip: MakeClip, tmp_path: Path) -> None:
    source = add_subtitles(make_clip(), tmp_path / "in.mkv", "subrip", CUES, "eng")
    copy_video(source, tmp_path / "out.mkv", max_frames=15)
    ((_, texts),) = subtitles_of(tmp_path / "out.mkv")
    assert [text.decode() for _, _, text in texts] == ["Guten Tag", "¿qué?"]


@pytest.mark.parametrize(
    ("codec", "carrier", "ending", "said"),
    [
        ("subrip", ".mkv", ".mp4", "mp4 cannot hold the subrip subtitles of {}, but .mkv can"),
        ("ass", ".mkv", ".avi", "avi cannot hold the ass subtitles of {}, but .mkv can"),
        ("mov_text", ".mp4", ".mkv", "matroska cannot hold the mov_text subtitles of {}, but .mp4 can"),
    ],
)
def test_subtitles_that_do_not_fit_are_left_out_with_a_way_out(
    make_clip: MakeClip, tmp_path: Path, codec: str, carrier: str, ending: str, said: str
) -> None:
    source = add_subtitles(make_clip(), tmp_path / f"in{carrier}", codec, CUES, "eng")
    assert copy_video(source, tmp_path / f"out{ending}") == [said.format(source)]
    assert subtitles_of(tmp_path / f"out{ending}") == []
    with open_source(tmp_path / f"out{ending}") as frames:
        assert sum(1 for _ in frames) == 30


def test_the_subtitles_of_a_real_clip_are_copied_beside_its_sound(data: Path, tmp_path: Path) -> None:
    source = data / "videos" / "nasa_13013.mp4"
    assert copy_video(source, tmp_path / "out.mp4", every=4) == []
    assert subtitles_of(tmp_path / "out.mp4") == subtitles_of(source)
    assert any(texts for _, texts in subtitles_of(source))
