"""CSV, read back by pandas and the standard library."""

import csv
from dataclasses import replace
from pathlib import Path

import pandas
import pytest

from streamdet.sinks.formats import open_track_sink
from tests.sinks.results import result, write


def test_pandas_reads_the_types_of_all_columns(tmp_path: Path) -> None:
    table = pandas.read_csv(write(tmp_path / "t.csv"))
    assert list(table.columns) == [
        "frame",
        "time_s",
        "id",
        "x1",
        "y1",
        "x2",
        "y2",
        "score",
        "class_id",
        "class_name",
        "predicted",
    ]
    assert table["frame"].tolist() == [0, 0, 2]
    assert table["id"].tolist() == [1, 2, 2]
    assert table["class_name"].tolist() == ["Auto, rot"] * 3
    assert table["predicted"].tolist() == [False, True, False]
    assert table["time_s"].tolist() == pytest.approx([0, 0, 2 * 1001 / 30000], abs=1e-6)
    assert table[["x1", "y1", "x2", "y2", "score"]].iloc[0].tolist() == [10.13, 20.0, 30.5, 60.0, 0.8765]


@pytest.mark.parametrize("name", ['a "b", c', "two\nlines", "two\r\nlines", " blanks ", "käfer,", "=1+1"])
def test_a_hostile_name_comes_back(tmp_path: Path, name: str) -> None:
    with open_track_sink(tmp_path / "t.csv") as sink:
        sink.write(result(0, [1], class_id=0, names=[name]))
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert [row["class_name"] for row in csv.DictReader(file)] == [name]
    assert pandas.read_csv(tmp_path / "t.csv")["class_name"].tolist() == [name]


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.csv") as sink:
        sink.write(replace(result(0, [1]), class_names=["", "caf\udce9"]))
    assert "caf?" in (tmp_path / "t.csv").read_text("utf-8")
