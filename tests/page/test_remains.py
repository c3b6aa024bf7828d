"""The demo's temporary files."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from demo.remains import own_folder, sweep

KILLED = """
import os, signal
from demo.remains import own_folder
with own_folder() as folder:
    (folder / "upload.mp4").write_bytes(b"left")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_the_next_server_removes_what_a_killed_one_has_left(temporary: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False, timeout=60)
    (left,) = temporary.glob("streamdet-demo-*/files/upload.mp4")
    with own_folder():
        assert not left.exists()
    assert list(temporary.iterdir()) == []


def test_servers_leave_each_others_folders_alone(temporary: Path) -> None:
    with own_folder() as first:
        (first / "upload.mp4").write_bytes(b"in use")
        with own_folder() as second:
            assert second != first
        assert [path.name for path in first.iterdir()] == ["upload.mp4"]
    assert list(temporary.iterdir()) == []


def test_files_older_than_an_hour_and_the_oldest_beyond_the_limit_are_removed(temporary: Path) -> None:
    now_s = time.time()
    for name, age_s in (("ancient", 3700), ("old", 300), ("middle", 200), ("new", 100)):
        path = temporary / name / "clip.mp4"
        path.parent.mkdir()
        path.write_bytes(bytes(1000))
        os.utime(path, (now_s, now_s - age_s))
    sweep(temporary, 10_000)
    assert sorted(path.parent.name for path in temporary.rglob("*.mp4")) == ["middle", "new", "old"]
    sweep(temporary, 2_500)
    assert sorted(path.parent.name for path in temporary.rglob("*.mp4")) == ["middle", "new"]
