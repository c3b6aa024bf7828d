"""Track files: complete after every frame, and the errors when they cannot be written."""

from pathlib import Path

import pytest

from streamdet.errors import InputError, OutputError
from streamdet.result import Result
from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.sink import TrackSink
from tests.sinks.results import result

WHOLE_AFTER_A_FRAME = ["t.txt", "t.jsonl", "t.csv"]
ALL = [*WHOLE_AFTER_A_FRAME]


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
        ("t.yaml", r"written as \.txt, \.jsonl, \.csv, not \.yaml"),
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
