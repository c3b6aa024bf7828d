"""Files that a run writes: under whatever name they are told apart, one run writes each, and records stay whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streamdet.errors import InputError
from streamdet.output_file import STANDARD_OUTPUT, OutputFile, require_distinct

ROOT = Path(__file__).resolve().parents[1]

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks and limits")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"frames")
    return path


@pytest.fixture(params=["same", "spelling", "symbolic", "hard", "linked folder"])
def alias(request: pytest.FixtureRequest, tmp_path: Path, clip: Path) -> Path:
    """Another name of the clip."""
    other = tmp_path / "other.mp4"
    if request.param == "symbolic":
        other.symlink_to(clip)
    elif request.param == "hard":
        other.hardlink_to(clip)
    elif request.param == "spelling":
        (tmp_path / "x").mkdir()
        return tmp_path / "x" / ".." / clip.name
    elif request.param == "linked folder":
        (tmp_path / "folder").symlink_to(tmp_path)
        return tmp_path / "folder" / clip.name
    return other if other.exists() else clip


def test_what_is_read_is_not_written_under_any_name(clip: Path, alias: Path) -> None:
    with pytest.raises(InputError, match=r"a file of its own for --tracks, but .* is read as SOURCE: "):
        require_distinct({"--model": [], "SOURCE": [clip]}, {"--out": clip.with_name("new.mp4"), "--tracks": alias})


def test_a_file_is_not_written_twice_under_any_name(clip: Path, alias: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file each for --out and --explain, found .* for both"):
        require_distinct({}, {"--out": clip, "--explain": alias})


def test_files_in_a_folder_that_is_read_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"picture")
    (tmp_path / "a.mp4").hardlink_to(tmp_path / "images" / "1.png")
    with pytest.raises(InputError, match=r"--out, but .*a\.mp4 is read as SOURCE: .*1\.png"):
        require_distinct({"SOURCE": [tmp_path / "images"]}, {"--out": tmp_path / "a.mp4"})


def test_files_that_do_not_exist_yet_are_told_apart_by_folder_and_name(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "ahead").symlink_to(tmp_path / "new.txt")
    for other in (tmp_path / "folder" / "new.txt", tmp_path / "ahead"):
        with pytest.raises(InputError, match="for --state and --tracks"):
            require_distinct({}, {"--state": tmp_path / "new.txt", "--tracks": other})
    require_distinct({}, {"--state": tmp_path / "new.txt", "--tracks": tmp_path / "newer.txt"})


def test_what_is_read_counts_only_if_it_exists(tmp_path: Path) -> None:
    require_distinct({"--tracker": [tmp_path / "sort"]}, {"--state": tmp_path / "sort"})


def test_a_device_may_be_named_twice() -> None:
    require_distinct({"SOURCE": [Path(os.devnull)]}, {"--out": Path(os.devnull), "--tracks": Path(os.devnull)})


WRITE = """
import sys
from pathlib import Path
from streamdet.output_file import OutputFile
file = OutputFile(Path(sys.argv[1]), "tracks")
file.start()
file.append(b"mine")
print("open", flush=True)
sys.stdin.read()
"""


@posix
def test_a_file_that_another_process_writes_is_refused_until_that_one_ends(tmp_path: Path) -> None:
    path, environment = tmp_path / "t.txt", {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(InputError, match=r"write tracks, but another run is writing to .*t\.txt"):
            OutputFile(path, "tracks")
        assert path.read_bytes() == b"mine"
        other.kill()
        other.wait()
        OutputFile(path, "tracks").close()
    assert path.read_bytes() == b"mine"


@posix
def test_a_file_is_free_again_when_it_is_closed(tmp_path: Path) -> None:
    first = OutputFile(tmp_path / "t.txt", "tracks")
    first.start()
    with pytest.raises(InputError, match="another run"):
        OutputFile(tmp_path / "t.txt", "tracks")
    first.close()
    OutputFile(tmp_path / "t.txt", "tracks").close()


@posix
def test_a_file_that_is_deleted_while_it_is_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file = OutputFile(tmp_path / "folder" / "t.txt", "tracks")
    file.start()
    file.append(b"one\n")
    shutil.rmtree(tmp_path / "folder")
    with pytest.raises(OSError, match="deleted while it was written"):
        file.check()
    with pytest.raises(OSError, match="deleted while it was written"):
        file.append(b"two\n")
    file.close()


APPEND = """
import resource, sys
from pathlib import Path
from streamdet.output_file import OutputFile
file = OutputFile(Path(sys.argv[1]), "tracks")
file.start()
resource.setrlimit(resource.RLIMIT_FSIZE, (25, 25))
for _ in range(4):
    try:
        file.append(b"ten bytes\\n")
    except OSError as error:
        print(error.strerror)
"""


@posix
def test_a_record_that_does_not_fit_leaves_no_part_of_it_and_none_follows(tmp_path: Path) -> None:
    path, environment = tmp_path / "t.txt", {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", APPEND, str(path)], capture_output=True, env=environment, check=True)
    assert path.read_bytes() == b"ten bytes\nten bytes\n"
    assert ended.stdout == b"File too large\n" * 2


REPLACE = """
import resource, sys
from pathlib import Path
from streamdet.output_file import OutputFile
file = OutputFile(Path(sys.argv[1]), "tracks")
file.start()
file.append(b"[1]")
file.append(b", 2]", over=b"]")
resource.setrlimit(resource.RLIMIT_FSIZE, (7, 7))
try:
    file.append(b", 3]", over=b"]")
except OSError as error:
    print(error.strerror, file.tell())
"""


@posix
def test_a_record_that_does_not_fit_leaves_the_end_that_it_was_to_replace(tmp_path: Path) -> None:
    path, environment = tmp_path / "t.json", {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", REPLACE, str(path)], capture_output=True, env=environment, check=True)
    assert path.read_bytes() == b"[1, 2]"
    assert ended.stdout == b"File too large 6\n"


def test_standard_output_is_a_place_to_write(capfd: pytest.CaptureFixture[str]) -> None:
    file = OutputFile(STANDARD_OUTPUT, "tracks")
    file.start()
    file.append(b"one\n")
    file.check()
    file.close()
    assert capfd.readouterr().out == "one\n"


@pytest.mark.parametrize("name", ["a" * 300, "\udcff" * 300])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is none: file name too long"):
        OutputFile(tmp_path / name, "tracks")
