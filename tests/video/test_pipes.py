"""Videos that can be read only once."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from streamdet.cli.command import with_lone_hyphens
from streamdet.errors import InputError, SourceEnded
from streamdet.video.location import Pipe, locate
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]
COUNT = """
import sys
from streamdet.video.source import open_source
with open_source(sys.argv[1]) as source:
    print(sum(1 for _ in source), source.audio_from, source.id)
    print(*source.warnings)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such file")
@pytest.mark.parametrize(("spec", "name"), [("-", "standard input"), ("/dev/stdin", "/dev/stdin")])
def test_all_frames_come_through_a_pipe_and_the_lost_sound_is_told(data: Path, spec: str, name: str) -> None:
    content = (data / "cases/video/av.ts").read_bytes()
    run = subprocess.run([sys.executable, "-c", COUNT, spec], input=content, capture_output=True, timeout=120)
    counted, warning = run.stdout.decode().splitlines()
    assert counted == f"40 None {name}"
    assert warning == f"sound and subtitles of {name} are not copied: a pipe can be read only once"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_a_named_pipe_is_read_once(make_clip: MakeClip, tmp_path: Path) -> None:
    content, path = make_clip("clip.ts").read_bytes(), tmp_path / "fifo.ts"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(content), daemon=True)
    writer.start()
    assert locate(path) == Pipe(str(path), f"file:{path}")
    with open_source(path) as source:
        assert sum(1 for _ in source) == 30
        assert (source.info.live, source.audio_from, source.warnings) == (False, None, [])
    writer.join(60)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_a_pipe_may_be_a_camera(make_clip: MakeClip, tmp_path: Path) -> None:
    content, path = make_clip("clip.ts").read_bytes(), tmp_path / "fifo.ts"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(content), daemon=True)
    writer.start()
    with open_source(path, live=True) as source:
        assert source.info.live
        with pytest.raises(SourceEnded, match=f"expected {path} to go on, but the stream ended"):
            list(source)
    writer.join(60)


def test_a_terminal_is_no_video(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(InputError, match="on the standard input, found a terminal"):
        locate("-")


def test_a_gpu_that_fails_could_not_read_a_pipe_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(InputError, match="found the pipe standard input"):
        open_source("-", decode="cuda")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("track - --out o.mp4", "track --out o.mp4 -- -"),
        ("track a.mp4 -", "track a.mp4 -- -"),
        ("track a.mp4 --tracks -", "track a.mp4 --tracks=-"),
        ("track -- -", "track -- -"),
        ("track a.mp4", "track a.mp4"),
    ],
)
def test_a_dash_is_a_source_of_the_command_line(words: str, expected: str) -> None:
    assert with_lone_hyphens(words.split()) == expected.split()
