"""Videos that visitors of the demo's page upload."""

import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from demo.video import Cancelled, VideoRuns
from streamdet.errors import InputError
from streamdet.page_options import PageOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.types import VideoInfo
from streamdet.video.sink import VideoSink
from streamdet.video.stream_copy import StreamCopy
from tests.pipeline.fakes import FakeSession

FRAMES = 50


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "upload" / "clip.mp4"
    path.parent.mkdir(parents=True)
    with VideoSink(path, info=VideoInfo(160, 120, Fraction(10), None, live=False)) as sink:
        for pts in range(FRAMES):
            sink.write(np.full((120, 160, 3), pts, np.uint8), pts, Fraction(1, 10))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Callable[..., VideoRuns]]:
    """A function that returns the runs of a page with such options; uploads and results are in the folder cache."""
    (tmp_path / "cache").mkdir(exist_ok=True)
    with Pipeline.from_session(FakeSession()) as pipeline:
        yield lambda **options: VideoRuns(pipeline, tmp_path / "cache", PageOptions(**options))


def track(runs: VideoRuns, path: Path, progress: Callable[[int, int | None], None] = lambda *_: None) -> str:
    return runs.track("visitor", path, [], 0.5, progress).summary


def test_a_run_ends_when_its_time_is_over_and_gives_what_it_has(
    runs: Callable[..., VideoRuns], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, expire = threading.Event(), threading.Timer.run

    def expire_and_tell(timer: threading.Timer) -> None:
        expire(timer)
        over.set()

    monkeypatch.setattr(threading.Timer, "run", expire_and_tell)

    def read_on_when_the_time_is_over(done: int, total: int | None) -> None:
        over.wait(timeout=60)

    frames, *_, note = (
        track(runs(max_seconds=1), clip, read_on_when_the_time_is_over).replace("\n\n", " frames").split(" frames")
    )
    assert 1 <= int(frames) < FRAMES
    assert note.startswith("stopped after ")
    assert note.endswith(" s, the longest time that this page allows")


def test_a_video_within_its_time_is_complete(runs: Callable[..., VideoRuns], clip: Path) -> None:
    assert re.fullmatch(rf"{FRAMES} frames in [\d.]+ s \([\d.]+ fps\), tracks: \d+", track(runs(), clip))


def test_cancelling_ends_a_run_that_waits_for_a_frame(
    runs: Callable[..., VideoRuns], clip: Path, tmp_path: Path
) -> None:
    cancelled = runs()

    def leave(done: int, total: int | None) -> None:
        cancelled.cancel("visitor")

    with pytest.raises(Cancelled):
        track(cancelled, clip, leave)
    assert list((tmp_path / "cache").iterdir()) == [clip.parent]


@pytest.mark.parametrize("place", ["{folder}/clip.mp4", "{folder}/cache/../clip.mp4", "{folder}/cache/link.mp4"])
def test_a_file_that_was_not_uploaded_is_refused(
    runs: Callable[..., VideoRuns], clip: Path, tmp_path: Path, place: str
) -> None:
    secret = clip.rename(tmp_path / "clip.mp4")
    (tmp_path / "cache" / "link.mp4").symlink_to(secret)
    with pytest.raises(InputError, match=r"^expected an upload of this page, but '(clip|link)\.mp4' is none$"):
        track(runs(), Path(place.format(folder=tmp_path)))


@pytest.mark.parametrize("name", ["clip.mp4", "list.m3u8", "12", "clip.png"])
@pytest.mark.parametrize("target", ["upload/clip.mp4", "{folder}/cache/upload/clip.mp4", "{name}"])
def test_a_playlist_is_refused_without_the_servers_path(
    runs: Callable[..., VideoRuns], clip: Path, tmp_path: Path, name: str, target: str
) -> None:
    playlist = tmp_path / "cache" / name
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target.format(folder=tmp_path, name=name)}\n")
    with pytest.raises(InputError, match=f"^expected a video file, but {name} is none of the formats mov") as refused:
        track(runs(), playlist)
    assert str(tmp_path) not in str(refused.value)


def test_a_video_that_ends_early_is_named_without_the_servers_path(
    runs: Callable[..., VideoRuns], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends_early(self: StreamCopy, source: str, kind: str) -> None:
        raise InputError(f"the sound of {source} ends early")

    monkeypatch.setattr(StreamCopy, "__init__", ends_early)
    summary = track(runs(), clip)
    assert "the sound of clip.mp4 ends early" in summary
    assert str(tmp_path) not in summary


@pytest.mark.parametrize("pixels", [160 * 120 - 1, 160 * 120])
def test_frames_above_the_limit_are_refused(runs: Callable[..., VideoRuns], clip: Path, pixels: int) -> None:
    limited = runs(max_pixels=pixels)
    if pixels == 160 * 120:
        assert track(limited, clip).startswith(f"{FRAMES} frames")
    else:
        with pytest.raises(InputError, match=r"^expected a video of at most 19,199 pixels, but clip\.mp4 has 160x120$"):
            track(limited, clip)


def test_a_picture_of_many_pixels_is_refused_by_its_header(runs: Callable[..., VideoRuns], tmp_path: Path) -> None:
    path = tmp_path / "cache" / "bomb.png"
    path.write_bytes(png(12_000, 12_000))
    assert path.stat().st_size < 20_000
    sentence = r"^expected a video of at most 99,999,999 pixels, but bomb\.png has 12000x12000$"
    with pytest.raises(InputError, match=sentence):
        track(runs(max_pixels=99_999_999), path)


def png(width: int, height: int) -> bytes:
    """Return a black image of one bit a pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    pixels = zlib.compress(bytes((1 + (width + 7) // 8) * height), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
