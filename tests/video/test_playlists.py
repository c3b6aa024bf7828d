"""Lists that stand for a video: what they may name, and that they end."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streamdet.errors import InputError
from streamdet.video.source import open_source

from .web import serving_files, write_playlist

MakeClip = Callable[..., Path]
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n"
MEDIA = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n"
END = "#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile {}\n"
OPEN_WITH_LITTLE_MEMORY = """
import resource, sys
from streamdet.errors import InputError
from streamdet.video.source import open_source
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20),) * 2)
try:
    open_source(sys.argv[1], timeout_s=1)
except InputError as error:
    print(error)
"""


def refusal(path: Path | str) -> str:
    """Open `path` in a process with little memory, which must refuse it, and return the sentence."""
    command = [sys.executable, "-c", OPEN_WITH_LITTLE_MEMORY, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.stderr == ""
    return run.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by the means of Linux")
@pytest.mark.parametrize(
    ("name", "text"),
    [("self.m3u8", MASTER), ("self.m3u8", MEDIA + END), ("self.m3u", MASTER), ("self.ffconcat", CONCAT)],
)
def test_a_list_that_names_itself_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text.format(name))
    assert "names lists that name lists" in refusal(tmp_path / name)


def test_a_circle_of_lists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.m3u8").write_text(MASTER.format("b.m3u8"))
    (tmp_path / "b.m3u8").write_text(MASTER.format("a.m3u8"))
    with pytest.raises(InputError, match="names lists that name lists"):
        open_source(tmp_path / "a.m3u8")


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by the means of Linux")
def test_a_list_of_a_server_that_names_itself_is_refused_in_time(tmp_path: Path) -> None:
    (tmp_path / "self.m3u8").write_text(MASTER.format("self.m3u8"))
    with serving_files(tmp_path) as url:
        assert "self.m3u8 holds no video stream" in refusal(f"{url}/self.m3u8")


@pytest.mark.parametrize("text", [MASTER, MEDIA + END, CONCAT])
def test_what_is_not_called_a_list_is_not_read_as_one(make_clip: MakeClip, tmp_path: Path, text: str) -> None:
    clip = make_clip("clip.ts")
    (tmp_path / "list.mp4").write_text(text.format(clip.name))
    with pytest.raises(InputError, match="is none that FFmpeg can read"):
        open_source(tmp_path / "list.mp4")


@pytest.mark.parametrize("suffix", [".m3u8", ".ffconcat"])
def test_a_list_gives_the_videos_that_it_names(make_clip: MakeClip, tmp_path: Path, suffix: str) -> None:
    clip = make_clip("clip.ts")
    (tmp_path / f"list{suffix}").write_text((CONCAT if suffix == ".ffconcat" else MEDIA + END).format(clip.name))
    with open_source(tmp_path / f"list{suffix}") as source:
        assert not source.info.live
        assert sum(1 for _ in source) == 30


def test_a_list_may_name_lists_of_segments(make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip("clip.ts")
    (tmp_path / "media.m3u8").write_text((MEDIA + END).format("clip.ts"))
    (tmp_path / "master.m3u8").write_text(MASTER.format("media.m3u8"))
    with open_source(tmp_path / "master.m3u8") as source:
        assert sum(1 for _ in source) == 30


@pytest.mark.parametrize("name", ["list.m3u8", "master.m3u8"])
def test_a_local_list_without_an_end_ends_with_its_last_segment(tmp_path: Path, name: str) -> None:
    """Its frames are known, since FFmpeg is told that nothing follows, instead of waiting for more."""
    write_playlist(tmp_path, ended=False)
    (tmp_path / "master.m3u8").write_text(MASTER.format("list.m3u8"))
    with open_source(tmp_path / name) as source:
        assert (source.info.live, source.info.frame_count) == (False, 40)
        assert sum(1 for _ in source) == 40
        said = f"{tmp_path / name} has no end (#EXT-X-ENDLIST): it is read as far as it went when it was opened"
        assert source.warnings == [said]


def test_a_segment_that_is_missing_is_left_out(tmp_path: Path) -> None:
    write_playlist(tmp_path, ended=False)
    (tmp_path / "list1.ts").unlink()
    with open_source(tmp_path / "list.m3u8") as source:
        assert sum(1 for _ in source) == 30


def test_encrypted_segments_are_read(tmp_path: Path) -> None:
    write_playlist(tmp_path, ended=True, encrypted=True)
    assert "METHOD=AES-128" in (tmp_path / "list.m3u8").read_text()
    with open_source(tmp_path / "list.m3u8") as source:
        assert sum(1 for _ in source) == 40
        assert source.warnings == []


def test_a_local_list_reaches_no_network(make_clip: MakeClip, tmp_path: Path) -> None:
    asked = tmp_path / "served"
    asked.mkdir()
    make_clip("served/clip.ts")
    with serving_files(asked) as url:
        (tmp_path / "list.m3u8").write_text((MEDIA + END).format(f"{url}/clip.ts"))
        with pytest.raises(InputError):
            open_source(tmp_path / "list.m3u8")


def test_a_list_of_a_server_reaches_no_local_file(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("clip.ts")
    served = tmp_path / "served"
    served.mkdir()
    (served / "list.m3u8").write_text((MEDIA + END).format(f"file:{clip}"))
    with serving_files(served) as url, pytest.raises(InputError):
        open_source(f"{url}/list.m3u8")
