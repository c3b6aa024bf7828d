"""Track files: complete after every frame, and the errors when they cannot be written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamdet.errors import InputError, OutputError
from streamdet.result import Result
from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.sink import TrackSink
from tests.sinks.results import result

ROOT = Path(__file__).resolve().parents[2]
WHOLE_AFTER_A_FRAME = ["t.txt", "t.jsonl", "t.csv", "t.json"]
WHOLE_AT_THE_END = ["t.parquet", "t.xml"]
ALL = [*WHOLE_AFTER_A_FRAME, *WHOLE_AT_THE_END]


@pytest.mark.parametrize("name", WHOLE_AFTER_A_FRAME)
def test_a_frame_is_on_disk_before_the_next_one_comes(tmp_path: Path, name: str) -> None:
    with open_track_sink(tmp_path / name) as sink:
        sink.write(result(0, [1]))
        written = (tmp_path / name).read_text()
        assert written.endswith("\n")
        assert "0.8765" in written


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.yaml", r"written as \.txt, \.jsonl, \.csv, \.json, \.parquet, \.xml, \.mots, not \.yaml"),
        ("missing/t.txt", "expected a place to write tracks, but .* is none: the folder .*missing does not exist"),
    ],
)
def test_places_that_cannot_be_written_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_track_sink(tmp_path / name)


@pytest.mark.parametrize("name", ALL)
def test_a_full_disk_is_one_sentence(tmp_path: Path, name: str) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    link = tmp_path / name
    link.symlink_to(full)
    with pytest.raises(OutputError, match="No space left on device"), open_track_sink(link) as sink:
        sink.write(result(0, [1]))


FILL = """
import resource, sys
from pathlib import Path
from streamdet.errors import OutputError
from streamdet.sinks import parquet
from streamdet.sinks.formats import open_track_sink
from tests.sinks.results import result
parquet.ROW_GROUP = 2
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    with open_track_sink(Path(sys.argv[1])) as sink:
        for index in range(500):
            sink.write(result(index, [1, 2]))
            print(index)
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
@pytest.mark.parametrize("name", ALL)
def test_a_file_that_must_not_grow_has_no_part_of_a_frame(tmp_path: Path, name: str) -> None:
    path, environment = tmp_path / name, {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FILL, str(path)]
    ended = subprocess.run(command, capture_output=True, env=environment, check=True, text=True)
    *written, error = ended.stdout.splitlines()
    assert error == f"writing tracks to {path} failed: File too large"
    text = path.read_text()
    if name in WHOLE_AT_THE_END:
        assert text == ""
        return
    assert text.endswith("]\n" if name == "t.json" else "\n")
    assert text.count("0.8765") == 2 * len(written) >= 10
    if name == "t.json":
        assert len(json.loads(text)) == 2 * len(written)


@pytest.mark.parametrize("name", ALL)
def test_an_earlier_file_stays_until_there_is_a_result(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("earlier")
    with pytest.raises(ZeroDivisionError), open_track_sink(tmp_path / name):
        raise ZeroDivisionError
    assert (tmp_path / name).read_text() == "earlier"
    with pytest.raises(ZeroDivisionError), open_track_sink(tmp_path / f"new-{name}"):
        raise ZeroDivisionError
    assert not (tmp_path / f"new-{name}").exists()
    with open_track_sink(tmp_path / name):
        pass
    assert b"earlier" not in (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", ALL)
def test_two_runs_cannot_write_one_file(tmp_path: Path, name: str) -> None:
    with open_track_sink(tmp_path / name), pytest.raises(InputError, match="another run is writing to"):
        open_track_sink(tmp_path / name)


def test_a_format_may_have_a_head_and_an_end(tmp_path: Path) -> None:
    class Bracketed(TrackSink):
        """Ids in brackets."""

        def _head(self) -> str:
            return "["

        def _rows(self, result: Result) -> str:
            return str(result.frame.index)

        def _finish(self) -> str:
            return "]"

    with Bracketed(tmp_path / "a.txt") as sink:
        sink.write(result(7, [1]))
        assert (tmp_path / "a.txt").read_text() == "[7"
    assert (tmp_path / "a.txt").read_text() == "[7]"
