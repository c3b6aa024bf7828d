"""A recording in segments: where they are cut, what they are called, and which are removed."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np

from streamdet.types import VideoInfo
from streamdet.values import Keep
from streamdet.video.segments import SegmentedSink
from streamdet.video.source import open_source

INFO = VideoInfo(64, 48, Fraction(10), None, True)
TENTH = Fraction(1, 10)
NOON = 1_800_000_000.0


class Clock:
    time_s = NOON

    def __call__(self) -> float:
        return self.time_s


def record(folder: Path, clock: Clock, pts: list[int], **options: object) -> SegmentedSink:
    sink = SegmentedSink(folder / "cam.mp4", info=INFO, now_unix_s=clock, **options)  # type: ignore[arg-type]
    with sink:
        for each in pts:
            clock.time_s = NOON + each / 10
            sink.write(np.full((48, 64, 3), each % 200, np.uint8), each, TENTH)
    return sink


def counts(folder: Path) -> list[int]:
    found = []
    for path in sorted(folder.glob("cam-*.mp4")):
        with open_source(path) as source:
            found.append(sum(1 for _ in source))
    return found


def test_segments_have_their_length_and_every_picture(tmp_path: Path) -> None:
    record(tmp_path, Clock(), list(range(50)), segment_s=2.0)
    assert counts(tmp_path) == [20, 20, 10]
    stems = [path.stem for path in sorted(tmp_path.iterdir())]
    assert len({stem[:12] for stem in stems}) == 1 and stems[0].startswith("cam-2027011")
    assert [int(stem[-2:]) for stem in stems] == [int(stems[0][-2:]) + 2 * number for number in range(3)]


def test_a_time_that_leaps_back_begins_a_segment(tmp_path: Path) -> None:
    record(tmp_path, Clock(), [100, 101, 102, 5, 6], segment_s=60.0)
    assert sorted(counts(tmp_path)) == [2, 3]


def test_two_segments_in_one_second_have_two_names(tmp_path: Path) -> None:
    sink = SegmentedSink(tmp_path / "cam.mp4", info=INFO, segment_s=0.2, now_unix_s=lambda: NOON)
    with sink:
        for pts in range(6):
            sink.write(np.zeros((48, 64, 3), np.uint8), pts, TENTH)
    assert counts(tmp_path) == [2, 2, 2]


def old_segment(folder: Path, name: str, age_s: float, size: int = 1000) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (NOON - age_s, NOON - age_s))
    return path


def test_old_segments_are_removed_and_nothing_else(tmp_path: Path) -> None:
    old = old_segment(tmp_path, "cam-20270101-000000.mp4", 1000)
    young = old_segment(tmp_path, "cam-20270101-000001.mp4", 10)
    others = [
        old_segment(tmp_path, name, 1000)
        for name in ("cam.mp4", "cam-holiday.mp4", "cam-20270101-000000.txt", "camera-20270101-000000.mp4")
    ]
    record(tmp_path, Clock(), [0, 1], segment_s=10.0, keep=Keep(age_s=100.0))
    assert not old.exists()
    assert young.exists()
    assert all(path.exists() for path in others)


def test_the_size_of_all_segments_is_bounded(tmp_path: Path) -> None:
    segments = [old_segment(tmp_path, f"cam-20270101-00000{n}.mp4", 100 - n, 1000) for n in range(5)]
    record(tmp_path, Clock(), [0, 1], segment_s=10.0, keep=Keep(size_bytes=2500))
    assert [path.exists() for path in segments] == [False, False, False, True, True]


def test_the_segment_that_is_written_is_kept(tmp_path: Path) -> None:
    sink = record(tmp_path, Clock(), list(range(30)), segment_s=1.0, keep=Keep(size_bytes=0))
    assert list(tmp_path.iterdir()) == [sink.path]
    assert counts(tmp_path) == [10]
