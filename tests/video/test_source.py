"""Frames of files: their number, times, choice, and the end of reading."""

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "count", "size", "rate"),
    [
        ("av1_video.mkv", 125, (640, 360), Fraction(25)),
        ("bt709_full_range.mp4", 30, (1280, 720), Fraction(30)),
        ("car-detection.mp4", 377, (768, 432), Fraction(25, 2)),
        ("h264_10bits.mp4", 30, (200, 200), Fraction(30)),
        ("h265_10bits.mp4", 30, (200, 200), Fraction(30)),
        ("h265_video.mp4", 10, (128, 128), Fraction(10)),
        ("nasa_13013.mp4", 390, (480, 270), Fraction(30000, 1001)),
        ("vtest.avi", 795, (768, 576), Fraction(10)),
    ],
)
def test_every_frame_of_a_clip_comes_out_at_its_time(
    data: Path, name: str, count: int, size: tuple[int, int], rate: Fraction
) -> None:
    path = data / "videos" / name
    with open_source(path) as source:
        info = source.info
        assert (info.width, info.height, info.frame_rate, info.frame_count, info.live) == (*size, rate, count, False)
        seen = 0
        for frame in source:
            assert frame.index == seen
            assert frame.time == seen / rate
            assert frame.image.shape == (size[1], size[0], 3)
            assert frame.image.flags.c_contiguous
            assert frame.source_id == source.id == str(path)
            seen += 1
        assert (seen, source.damaged, source.warnings) == (count, 0, [])


def test_pictures_are_the_right_ones(make_clip: MakeClip) -> None:
    with open_source(make_clip()) as source:
        for frame in source:
            assert abs(float(np.mean(frame.image)) - (32 + 16 * (frame.index % 12))) < 3


def test_variable_times_and_a_late_start_are_kept(make_clip: MakeClip) -> None:
    ticks = [3000 + 500 * k + 37 * k * k for k in range(40)]
    with open_source(make_clip(ticks=ticks, time_base=Fraction(1, 25000))) as source:
        assert [frame.time for frame in source] == [Fraction(pts, 25000) for pts in ticks]


def test_h264_in_avi_starts_at_zero_though_avi_stores_no_times(make_clip: MakeClip) -> None:
    with open_source(make_clip("clip.avi")) as source:
        assert [frame.time for frame in source] == [Fraction(k, 10) for k in range(30)]
        assert source.warnings == []


def test_every_other_frame_keeps_index_and_time(make_clip: MakeClip) -> None:
    with open_source(make_clip(), every=3) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(0, 30, 3))
    assert [frame.time for frame in frames] == [Fraction(k, 10) for k in range(0, 30, 3)]


def test_max_frames_counts_what_comes_out(make_clip: MakeClip) -> None:
    with open_source(make_clip(), every=2, max_frames=4) as source:
        assert [frame.index for frame in source] == [0, 2, 4, 6]
        assert source.warnings == []


@pytest.mark.parametrize("options", [{"every": 0}, {"max_frames": 0}])
def test_an_impossible_choice_of_frames_is_refused(make_clip: MakeClip, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="at least 1"):
        open_source(make_clip(), **options)


def test_stop_from_another_thread_ends_the_iteration_without_loss_of_order(make_clip: MakeClip) -> None:
    with open_source(make_clip(ticks=range(200))) as source:
        indices = []
        for frame in source:
            indices.append(frame.index)
            if frame.index == 20:
                stopper = threading.Thread(target=source.stop)
                stopper.start()
                stopper.join()
        assert indices == list(range(21))
        assert source.warnings == []


def test_close_ends_the_iteration_and_may_be_repeated(make_clip: MakeClip) -> None:
    source = open_source(make_clip())
    next(source)
    source.close()
    source.close()
    assert list(source) == []


def open_descriptors(path: Path) -> int:
    return sum(link.resolve() == path for link in Path("/proc/self/fd").iterdir() if link.exists())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see open files")
@pytest.mark.parametrize("end", ["exhausted", "left", "closed", "dropped", "failed"])
def test_the_file_is_closed_however_reading_ends(make_clip: MakeClip, end: str) -> None:
    path = make_clip()
    source = open_source(path)
    assert open_descriptors(path) == 1
    if end == "failed":
        with pytest.raises(ZeroDivisionError), source:
            raise ZeroDivisionError
    elif end == "dropped":
        next(source)
        del source
    else:
        with source:
            for _ in source:
                if end == "left":
                    break
                if end == "closed":
                    source.close()
    assert open_descriptors(path) == 0


def test_a_failed_opening_leaves_no_file_open(tmp_path: Path, data: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are the letters of a text\n" * 40)
    with pytest.raises(InputError):
        open_source(path)
    if Path("/proc/self/fd").is_dir():
        assert open_descriptors(path) == 0


def test_names_that_look_like_protocols_or_patterns_open(make_clip: MakeClip) -> None:
    path = make_clip("noname.mp4")
    for name in ("12:30 %03d.mp4", "concat:a|b.mp4", "take[1]?.mp4", "é 視.mp4"):
        with open_source(path.rename(path.with_name(name))) as source:
            assert sum(1 for _ in source) == 30
        path = path.with_name(name)
