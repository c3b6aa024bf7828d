"""Damaged files: all intact frames are yielded, the loss is counted and reported."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]


def cut(source: Path, target: Path, share: float) -> Path:
    content = source.read_bytes()
    target.write_bytes(content[: round(share * len(content))])
    return target


@pytest.mark.parametrize(
    ("name", "least", "most", "said"),
    [
        ("car-detection.mp4", 200, 240, r"ends early: 2\d\d of 377 frames could be decoded"),
        ("vtest.avi", 460, 490, r"ends early: 4\d\.\d of 79\.5 s could be decoded"),
        ("av1_video.mkv", 40, 70, r"ends early: \d\.\d of 5\.0 s could be decoded"),
    ],
)
def test_a_file_cut_short_gives_what_is_left(
    data: Path, tmp_path: Path, name: str, least: int, most: int, said: str
) -> None:
    path = cut(data / "videos" / name, tmp_path / name, 0.6)
    with open_source(path) as source:
        assert least <= sum(1 for _ in source) <= most
        assert len(source.warnings) == 1
        assert source.warnings[0].startswith(str(path))
        assert re.search(said, source.warnings[0])


@pytest.mark.parametrize("name", ["car-detection.mp4", "vtest.avi"])
def test_flipped_bits_are_counted_and_all_frames_come_out(data: Path, tmp_path: Path, name: str) -> None:
    content = bytearray((data / "videos" / name).read_bytes())
    for place in np.random.default_rng(1).integers(len(content) // 5, len(content) * 9 // 10, 20):
        content[place] ^= 0xFF
    path = tmp_path / name
    path.write_bytes(content)
    with open_source(path) as source:
        assert source.info.frame_count is not None
        decoded = sum(1 for _ in source)
        assert source.info.frame_count - 20 <= decoded <= source.info.frame_count
        assert 1 <= source.damaged <= 200
        assert "is damaged" in source.warnings[0]


def test_an_early_end_that_was_asked_for_is_no_damage(data: Path, tmp_path: Path) -> None:
    path = cut(data / "videos" / "car-detection.mp4", tmp_path / "clip.mp4", 0.6)
    with open_source(path, max_frames=50) as source:
        assert sum(1 for _ in source) == 50
        assert source.warnings == []


def test_frames_that_an_edit_list_hides_are_not_missed(make_clip: MakeClip) -> None:
    # The muxer hides pictures before time 0 with an edit list.
    with open_source(make_clip(ticks=range(-3, 27))) as source:
        assert source.info.frame_count == 27
        assert [float(frame.time) for frame in source] == pytest.approx([k / 10 for k in range(27)])
        assert source.warnings == []


def test_a_video_of_which_nothing_can_be_decoded_is_refused(make_clip: MakeClip) -> None:
    path = make_clip("clip.mkv")
    content = bytearray(path.read_bytes())
    start = content.index(b"\x1f\x43\xb6\x75")  # the first Matroska cluster: RFC 9559, section 5.1.3
    for place in range(start + 40, len(content) - 400, 3):
        content[place] = 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_source(path)
    assert str(path) in str(caught.value)


def test_a_cut_without_encoding_announces_the_frames_that_are_shown(make_clip: MakeClip, tmp_path: Path) -> None:
    """A clip that was cut between two key frames holds the pictures before the cut, which an edit list hides."""
    path = tmp_path / "cut.mp4"
    with av.open(str(make_clip())) as clip, av.open(str(path), "w") as container:
        copy = container.add_stream_from_template(clip.streams.video[0])
        for packet in clip.demux(clip.streams.video[0]):
            if packet.dts is not None:
                before = round(Fraction(3, 2) / packet.time_base)
                packet.pts, packet.dts = packet.pts - before, packet.dts - before
                packet.stream = copy
                container.mux(packet)
    with open_source(path) as source:
        assert source.info.frame_count == sum(1 for _ in source) == 15


def test_what_an_edit_list_leaves_out_is_not_missed(data: Path) -> None:
    with open_source(data / "cases/video/editlist_cut.mp4") as source:
        assert source.info.frame_count == 27
        assert [float(frame.time) for frame in source] == pytest.approx([k / 10 for k in range(27)])
        assert source.warnings == []


def test_a_duration_that_is_no_time_is_ignored(data: Path) -> None:
    with open_source(data / "cases/video/tag.ogv") as source:
        assert sum(1 for _ in source) == 40
        assert source.warnings == []
