"""Files that somebody else has sent: formats that open no other file, and frames of a limited size."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from streamdet.errors import InputError
from streamdet.video import reader
from streamdet.video.container import open_container
from streamdet.video.location import VideoFile
from streamdet.video.source import open_source
from tests.data.heif_files import heic, quarters
from tests.data.pictures import noise, write_image

MakeClip = Callable[..., Path]


def sent(path: Path, **limits: object) -> VideoFile:
    return VideoFile("sent.mp4", path, **limits)  # type: ignore[arg-type]


def test_a_format_that_is_allowed_is_read_whatever_the_file_is_called(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("clip.mp4")
    count = sum(1 for _ in open_source(clip))
    source = open_source(sent(clip.rename(tmp_path / "clip.png"), formats=("matroska", "mov")))
    assert (sum(1 for _ in source), source.id) == (count, "sent.mp4")


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list"])
@pytest.mark.parametrize("target", ["other.mp4", "../private/other.mp4", "{folder}/other.mp4", "{name}"])
def test_a_playlist_shows_no_other_file(make_clip: MakeClip, tmp_path: Path, name: str, target: str) -> None:
    make_clip("other.mp4")
    playlist, target = tmp_path / name, target.format(folder=tmp_path, name=name)
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n")
    sentence = "^expected a video file, but sent.mp4 is none of the formats matroska, mov$"
    with pytest.raises(InputError, match=sentence):
        open_source(sent(playlist, formats=("matroska", "mov")))


def test_a_script_that_joins_files_shows_none(make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip("other.mp4")
    (tmp_path / "list").write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(InputError, match="none of the formats mov"):
        open_source(sent(tmp_path / "list", formats=("mov",)))


def test_frames_above_the_limit_are_refused_by_the_header(make_clip: MakeClip) -> None:
    clip = make_clip("clip.mp4")
    info = open_source(clip).info
    pixels = info.width * info.height
    assert open_source(sent(clip), max_pixels=pixels).info == info
    size = f"{info.width}x{info.height}"
    sentence = f"^expected a video of at most {pixels - 1:,} pixels, but sent.mp4 has {size}$"
    with pytest.raises(InputError, match=sentence):
        open_source(sent(clip), max_pixels=pixels - 1)


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp", ".tif", ".bmp", ".jp2", ".ppm", ".avif"])
def test_a_picture_by_the_name_of_a_video_is_refused_by_its_header(tmp_path: Path, kind: str) -> None:
    write_image(tmp_path / f"a{kind}", noise(0, 48, 64)).rename(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=r"^expected a video of at most 3,071 pixels, but .*a\.mp4 has 64x48$"):
        open_source(tmp_path / "a.mp4", max_pixels=64 * 48 - 1)


def test_a_photo_of_a_phone_by_the_name_of_a_video_is_not_shown_in_part(tmp_path: Path) -> None:
    """FFmpeg takes the first tile for the picture."""
    path = tmp_path / "a.mp4"
    path.write_bytes(heic(quarters(96, 144), tile=64))
    with pytest.raises(
        InputError, match=r"^expected a video, but sent\.mp4 is a HEIC or AVIF picture of several tiles$"
    ):
        open_source(sent(path))
    path.write_bytes(heic(quarters(96, 144)))
    with open_source(sent(path)) as source:
        assert [frame.image.shape for frame in source] == [(96, 144, 3)]


def test_frames_that_grow_above_the_limit_are_damage(make_clip: MakeClip, tmp_path: Path) -> None:
    small, large = (make_clip(f"{side}.h264", size=(side, side)) for side in (64, 1024))
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert {frame.image.shape[0] for frame in open_source(sent(both, formats=("h264",)))} == {64, 1024}
    source = open_source(sent(both, formats=("h264",)), max_pixels=64 * 64)
    assert {frame.image.shape[0] for frame in source} == {64}
    assert source.damaged


@pytest.mark.parametrize("limit_s", [None, 60.0])
def test_a_first_frame_within_its_time_is_no_limit_for_the_others(make_clip: MakeClip, limit_s: float | None) -> None:
    assert sum(1 for _ in open_source(sent(make_clip("clip.mp4"), first_frame_s=limit_s))) == 30


def test_packets_of_which_none_is_a_frame_end_in_time(make_clip: MakeClip) -> None:
    clip = make_clip("clip.avi")
    content = clip.read_bytes()
    first = content.index(b"00dc")
    packet = b"00dc" + (1).to_bytes(4, "little") + b"x\0"
    clip.write_bytes(content[:first] + 100_000 * packet)
    sentence = "^expected a video, but no frame of sent.mp4 could be decoded in time$"
    with pytest.raises(InputError, match=sentence):
        open_source(sent(clip, first_frame_s=0.001))


class Counted:
    """A container that counts the packets that are read from it."""

    def __init__(self, container: Any) -> None:
        self._container, self.packets = container, 0

    def demux(self) -> Iterator[Any]:
        for packet in self._container.demux():
            self.packets += 1
            yield packet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)


def test_packets_of_sound_before_the_first_frame_end_in_time(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, opened = tmp_path / "clip.avi", []
    with av.open(str(make_clip())) as source, av.open(str(clip), "w") as container:
        container.add_stream_from_template(source.streams.video[0])
        container.add_stream("pcm_s16le", rate=8000)
        container.start_encoding()
    content = clip.read_bytes()
    end = content.rindex(b"idx1")
    clip.write_bytes(content[:end] + 20_000 * (b"01wb" + (2).to_bytes(4, "little") + b"xy"))

    def open_counted(*arguments: Any, **options: Any) -> Counted:
        opened.append(Counted(open_container(*arguments, **options)))
        return opened[-1]

    monkeypatch.setattr(reader, "open_container", open_counted)
    monkeypatch.setattr(reader, "_LOOK_AHEAD_BYTES", 100 * (2 + 1024))
    with pytest.raises(InputError, match=r"no frame of sent\.mp4 could be decoded in time$"):
        open_source(sent(clip, first_frame_s=0.0))
    assert [each.packets for each in opened] == [100]
