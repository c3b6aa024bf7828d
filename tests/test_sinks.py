"""Track files: their rows, complete after every frame, and the errors when they cannot be written."""

import csv
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamdet.errors import InputError, OutputError
from streamdet.result import Result
from streamdet.sinks import TrackSink, open_track_sink
from streamdet.types import Detections, Frame, Tracks


def result(index: int, ids: list[int]) -> Result:
    """Return tracks of `ids`, of which the second is predicted."""
    count = len(ids)
    supports = np.array([0, -1][:count])
    boxes = np.array([[10.126, 20, 30.5, 60]] * count, np.float32).reshape(-1, 4)
    scores = np.full(count, 0.87654, np.float32)
    class_ids = np.ones(count, np.int64)
    frame = Frame(index, 1001 * index, Fraction(1, 30000), np.zeros((80, 80, 3), np.uint8), "clip", 0.0)
    tracks = Tracks(np.array(ids, np.int64), boxes, scores, class_ids, supports)
    return Result(frame, Detections(boxes, scores, class_ids), tracks, ["person", "Auto, rot"], {})


def write(path: Path) -> Path:
    with open_track_sink(path) as sink:
        for index, ids in enumerate([[1, 2], [], [2]]):
            sink.write(result(index, ids))
    return path


def test_mot_counts_frames_from_one(tmp_path: Path) -> None:
    assert write(tmp_path / "t.txt").read_text().splitlines() == [
        "1,1,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
        "1,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
        "3,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
    ]


def test_jsonl_has_a_line_for_every_frame(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in write(tmp_path / "t.jsonl").read_text().splitlines()]
    assert [(line["frame"], len(line["tracks"])) for line in lines] == [(0, 2), (1, 0), (2, 1)]
    assert lines[2]["time_s"] == pytest.approx(2 * 1001 / 30000)
    assert [track["predicted"] for track in lines[0]["tracks"]] == [False, True]
    assert lines[2]["tracks"][0] == {
        "id": 2,
        "box": [10.13, 20.0, 30.5, 60.0],
        "score": 0.8765,
        "class_id": 1,
        "class_name": "Auto, rot",
        "predicted": False,
    }


def test_csv_has_a_header_and_quotes_names(tmp_path: Path) -> None:
    with write(tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["id"]) for row in rows] == [("0", "1"), ("0", "2"), ("2", "2")]
    assert rows[0]["class_name"] == "Auto, rot"
    assert [row["predicted"] for row in rows] == ["False", "True", "False"]
    assert float(rows[0]["x2"]) == 30.5


@pytest.mark.parametrize("name", ["t.txt", "t.jsonl", "t.csv"])
def test_a_frame_is_on_disk_before_the_next_one_comes(tmp_path: Path, name: str) -> None:
    with open_track_sink(tmp_path / name) as sink:
        sink.write(result(0, [1]))
        written = (tmp_path / name).read_text()
        assert written.endswith("\n")
        assert "0.8765" in written


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.xml", r"written as \.txt, \.jsonl, \.csv, not \.xml"),
        ("missing/t.txt", "expected a place to write tracks, but .* is none: the folder .*missing does not exist"),
    ],
)
def test_places_that_cannot_be_written_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_track_sink(tmp_path / name)


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    link = tmp_path / "t.txt"
    link.symlink_to(full)
    with pytest.raises(OutputError, match="No space left on device"), open_track_sink(link) as sink:
        sink.write(result(0, [1]))


@pytest.mark.parametrize("name", ["t.txt", "t.jsonl", "t.csv"])
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
    assert "earlier" not in (tmp_path / name).read_text()


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.csv") as sink:
        sink.write(replace(result(0, [1]), class_names=["", "caf\udce9"]))
    assert "caf?" in (tmp_path / "t.csv").read_text("utf-8")


def test_standard_output_gets_rows_of_mot(capfd: pytest.CaptureFixture[str]) -> None:
    write(Path("-"))
    assert capfd.readouterr().out.splitlines()[-1] == "3,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1"


def test_a_format_may_have_an_end(tmp_path: Path) -> None:
    class Bracketed(TrackSink):
        """Ids in brackets."""

        def _write(self, result: Result) -> None:
            self._file.write(f"[{result.frame.index}")

        def _finish(self) -> None:
            self._file.write("]")

    with Bracketed(tmp_path / "a.txt") as sink:
        sink.write(result(7, [1]))
        assert (tmp_path / "a.txt").read_text() == "[7"
    assert (tmp_path / "a.txt").read_text() == "[7]"
