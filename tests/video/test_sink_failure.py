"""Failed writing: nothing is overwritten, the pictures written before play, the reason is one sentence."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import InputError, OutputError
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]
INFO = VideoInfo(96, 64, Fraction(10), None, live=False)
NOISE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")


def noise(index: int) -> UInt8Array:
    return np.roll(NOISE, index, axis=0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing/out.mp4", "the folder .* does not exist"),
        ("folder.mp4", "it is a folder"),
        ("file/out.mp4", "director"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=said):
        VideoSink(tmp_path / name, info=INFO)


@pytest.mark.parametrize("alias", ["same", "link", "other spelling"])
def test_the_source_is_never_overwritten(make_clip: MakeClip, tmp_path: Path, alias: str) -> None:
    source = make_clip()
    content = source.read_bytes()
    target = {"same": source, "link": tmp_path / "link.mp4", "other spelling": tmp_path / "x" / ".." / source.name}[
        alias
    ]
    (tmp_path / "x").mkdir()
    if alias == "link":
        target.symlink_to(source)
    with pytest.raises(InputError, match="is the video that is being read"):
        VideoSink(target, info=INFO, audio_from=str(source))
    assert source.read_bytes() == content


def test_without_a_frame_nothing_is_created_or_changed(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"precious")
    for name in ("old.mp4", "new.mp4"):
        VideoSink(tmp_path / name, info=INFO).close()
    assert (tmp_path / "old.mp4").read_bytes() == b"precious"
    assert not (tmp_path / "new.mp4").exists()


def test_a_longer_file_of_the_same_name_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"x" * 1_000_000)
    with VideoSink(tmp_path / "old.mp4", info=INFO) as sink:
        sink.write(noise(0), 0, Fraction(1, 10))
    assert (tmp_path / "old.mp4").stat().st_size < 100_000


def test_a_failed_stage_leaves_a_whole_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), VideoSink(tmp_path / "out.mp4", info=INFO) as sink:
        for k in range(25):
            sink.write(noise(k), k, Fraction(1, 10))
        raise ZeroDivisionError
    with open_source(tmp_path / "out.mp4") as source:
        assert sum(1 for _ in source) == 25
        assert source.warnings == []


def test_closing_twice_is_closing_once_and_writing_after_it_is_a_mistake(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", info=INFO)
    sink.write(noise(0), 0, Fraction(1, 10))
    sink.close()
    content = (tmp_path / "out.mp4").read_bytes()
    sink.close()
    assert (tmp_path / "out.mp4").read_bytes() == content
    with pytest.raises(ValueError, match="is closed"):
        sink.write(noise(1), 1, Fraction(1, 10))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi", ".webm"])
@pytest.mark.parametrize("count", [1, 100])
def test_a_full_device_is_one_sentence(tmp_path: Path, ending: str, count: int) -> None:
    path = tmp_path / f"out{ending}"
    path.symlink_to("/dev/full")
    with pytest.raises(OutputError) as caught, VideoSink(path, info=INFO) as sink:
        for k in range(count):
            sink.write(noise(k), k, Fraction(1, 10))
    assert str(caught.value) == f"expected to write {path}, but no space left on device"
    assert caught.value.exit_code == 1


WRITE = """
import os, signal, sys
from fractions import Fraction
import numpy as np
from streamdet.errors import OutputError
from streamdet.types import VideoInfo
from streamdet.video.sink import VideoSink

path, limit, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
random = np.random.default_rng(0)
sink = VideoSink(path, info=VideoInfo(96, 64, Fraction(10), None, live=False))
try:
    for k in range(count):
        sink.write(random.integers(0, 255, (64, 96, 3), dtype=np.uint8), k + 7, Fraction(1, 10))
except OutputError as error:
    sink.close()
    print(error)
    sys.exit(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run_writer(path: Path, limit: int, count: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WRITE, str(path), str(limit), str(count)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


def complaints(path: Path) -> list[str]:
    """Return what FFmpeg has to say about a file that it decodes to its end."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as said, av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            assert sum(1 for _ in container.decode(video=0)) > 0
    finally:
        av.logging.set_level(level)
    return [text for _, _, text in said]


@posix
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".avi", ".webm"])
def test_what_was_written_before_the_disk_was_full_plays(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    result = run_writer(path, limit=200_000, count=150)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == f"expected to write {path}, but file too large\n"
    assert complaints(path) == []
    with open_source(path) as source:
        times = [frame.time for frame in source]
        assert (source.damaged, source.warnings) == (0, [])
    assert len(times) >= 40
    steps = [float(later - earlier) for earlier, later in itertools.pairwise(times)]
    assert steps == pytest.approx([0.1] * len(steps), abs=0.002)


@posix
@pytest.mark.parametrize("count", [1, 60])
def test_a_file_that_is_deleted_meanwhile_is_one_sentence(tmp_path: Path, count: int) -> None:
    path = tmp_path / "folder" / "out.mp4"
    path.parent.mkdir()
    said = f"expected to write {path}, but it was deleted while it was written"
    with pytest.raises(OutputError, match=said), VideoSink(path, info=INFO) as sink:
        sink.write(noise(0), 0, Fraction(1, 10))
        shutil.rmtree(path.parent)
        for k in range(1, count):
            sink.write(noise(k), k, Fraction(1, 10))


@posix
@pytest.mark.parametrize(("ending", "least"), [(".mp4", 120), (".mov", 120), (".mkv", 120)])
def test_what_was_written_before_the_process_was_killed_plays(tmp_path: Path, ending: str, least: int) -> None:
    path = tmp_path / f"out{ending}"
    result = run_writer(path, limit=0, count=150)
    assert result.returncode == -signal.SIGKILL
    with open_source(path) as source:
        times = [frame.time for frame in source]
        assert source.warnings == []
    assert least <= len(times) < 150
    assert [float(time) for time in times] == pytest.approx([0.7 + 0.1 * k for k in range(len(times))], abs=0.002)


@posix
@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(InputError, match="permission denied"):
        VideoSink(tmp_path / "closed" / "out.mp4", info=INFO)
