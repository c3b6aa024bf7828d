"""Parquet, read back by pandas and pyarrow."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pandas
import pytest

from streamdet.errors import MissingExtraError
from streamdet.sinks import parquet
from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.header import TracksHeader
from tests.sinks.results import result, write

arrow = pytest.importorskip("pyarrow.parquet")


def test_pandas_reads_what_was_written(tmp_path: Path) -> None:
    table = pandas.read_parquet(write(tmp_path / "t.parquet"))
    kinds = {name: str(kind) for name, kind in table.dtypes.items() if name != "class_name"}
    whole = {"frame": "int64", "id": "int64", "class_id": "int32", "time_s": "float64", "predicted": "bool"}
    assert kinds == whole | dict.fromkeys(["x1", "y1", "x2", "y2", "score"], "float32")
    assert list(table.columns) == list(pandas.read_csv(write(tmp_path / "t.csv")).columns)
    assert table[["frame", "id", "class_id"]].to_numpy().tolist() == [[0, 1, 1], [0, 2, 1], [2, 2, 1]]
    assert table["class_name"].tolist() == ["Auto, rot"] * 3
    assert table["predicted"].tolist() == [False, True, False]
    assert table["time_s"].iloc[2] == 2 * 1001 / 30000
    assert table[["x1", "y1", "x2", "y2"]].iloc[0].tolist() == pytest.approx([10.126, 20, 30.5, 60])


def test_rows_are_written_in_groups_and_the_header_is_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP", 2)
    path = write(tmp_path / "t.parquet", {0: [1, 2], 1: [3], 2: [], 3: [1, 2], 4: [7]}, TracksHeader(source="a.mp4"))
    file = arrow.ParquetFile(path)
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [2, 3, 1]
    assert file.read()["id"].to_pylist() == [1, 2, 3, 1, 2, 7]
    header = json.loads(file.schema_arrow.metadata[b"streamdet"])
    assert (header["source"], header["class_names"]) == ("a.mp4", ["person", "Auto, rot"])


def test_a_run_without_results_is_a_table_without_rows(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.parquet"):
        pass
    assert len(pandas.read_parquet(tmp_path / "t.parquet")) == 0


def test_a_run_that_fails_leaves_what_came_before(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_track_sink(tmp_path / "t.parquet") as sink:
        sink.write(result(0, [4, 5]))
        raise ZeroDivisionError
    assert pandas.read_parquet(tmp_path / "t.parquet")["id"].tolist() == [4, 5]


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.parquet") as sink:
        sink.write(replace(result(0, [1]), class_names=["", "caf\udce9"]))
    assert pandas.read_parquet(tmp_path / "t.parquet")["class_name"].tolist() == ["caf?"]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    expected = r"pyarrow is not installed; add it with: pip install 'streamdet\[parquet\]'"
    with pytest.raises(MissingExtraError, match=expected):
        open_track_sink(tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []
