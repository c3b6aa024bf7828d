"""FFmpeg's threads: shared by the videos that are decoded at the same time, and without effect on the pictures."""

import gc
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from streamdet.video import reader
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]


def decoding_threads() -> int:
    """Return how many threads of this process decode: FFmpeg names them av:CODEC:dfN."""
    gc.collect()  # a decoder lives as long as something refers to its source
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    return sum(name.startswith("av:") and ":df" in name for name in names)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see threads")
def test_a_source_takes_its_share_of_the_cores(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "core_count", lambda: 8)
    with ExitStack() as stack:
        counts = [decoding_threads()]
        for number in range(5):
            stack.enter_context(open_source(make_clip(f"{number}.mp4")))
            counts.append(decoding_threads())
    assert np.diff(counts)[1:].tolist() == [4, 2, 2, 0]  # FFmpeg needs no thread of its own to decode with one


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see threads")
@pytest.mark.parametrize("end", ["read", "closed"])
def test_a_video_that_has_been_read_takes_no_share(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(reader, "core_count", lambda: 1000)
    before = decoding_threads()
    with open_source(make_clip("a.mp4")) as first:
        counts = [before, decoding_threads()]
        if end == "read":
            list(first)
        else:
            first.close()
        with open_source(make_clip("b.mp4")):
            counts.append(decoding_threads())
    alone, after = np.diff(counts)
    assert alone == after  # as many as FFmpeg chooses by itself, not 500


def test_videos_decoded_at_the_same_time_are_those_decoded_alone(data: Path) -> None:
    paths = [data / "videos" / name for name in ("car-detection.mp4", "nasa_13013.mp4", "h264_10bits.mp4")]
    alone = [[frame.image for frame in open_source(path, max_frames=20)] for path in paths]
    with ExitStack() as stack:
        sources = [stack.enter_context(open_source(path, max_frames=20)) for path in paths]
        together = [list(frames) for frames in zip(*zip(*sources, strict=True), strict=True)]
    for images, frames in zip(alone, together, strict=True):
        for image, frame in zip(images, frames, strict=True):
            np.testing.assert_array_equal(frame.image, image)
