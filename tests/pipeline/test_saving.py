"""What comes out of a run goes to files and tables in one call."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from streamdet.errors import InputError
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from tests.pipeline.fakes import FakeSession, FakeSource, write_clip

COUNT = 12


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    clip = write_clip(tmp_path / "in.mp4", COUNT)
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(clip) as run:
        yield run


def test_a_run_is_written_to_several_files_in_one_reading(run: Run, tmp_path: Path) -> None:
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(tmp_path / "in.mp4") as other:
        expected = [(result.frame.index, track.id, track.class_name) for result in other for track in result.tracks]
    (tmp_path / "out.csv").write_text("an earlier file")
    run.save(tmp_path / "out.mp4", str(tmp_path / "out.csv"), tmp_path / "out.jsonl")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [frame.time for frame in container.decode(video=0)] == [index / 25 for index in range(COUNT)]
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = [(int(row["frame"]), int(row["id"]), row["class_name"]) for row in csv.DictReader(file)]
    assert rows == expected
    assert len(rows) > COUNT
    header = json.loads((tmp_path / "out.jsonl").read_text().partition("\n")[0])
    assert (header["source"], header["rate_hz"], header["class_names"]) == (run.source_id, 25, ["person", "car"])
    assert run.stats.results == COUNT


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["out.png"], r"expected a video or track file ending in \.mp4, .*\.csv.*, found 'out.png'"),
        (["out.csv", "OUT/../out.csv"], "expected a file each for path 1 and path 2, found .*out.csv for both"),
        (["out.csv", "out.mots"], r"out.mots: expected a model for the task segment, found one for detect"),
        (["none/out.mp4"], "the folder .*none does not exist"),
        (["in.mp4"], "but .*in.mp4 is the video that is being read"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_anything_is_read(
    run: Run, tmp_path: Path, names: list[str], message: str
) -> None:
    (tmp_path / "OUT").mkdir()
    with pytest.raises(InputError, match=message):
        run.save(*(tmp_path / name for name in names))
    assert run.stats.results == 0
    assert len(list(run)) == COUNT


def test_a_run_is_a_table_of_what_was_not_read_before(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    first = next(run)
    table = run.to_dataframe()
    assert sorted(set(table["frame"])) == list(range(1, COUNT))
    assert table["class_name"].isin(["person", "car"]).all()
    assert set(first.to_dataframe()["frame"]) == {0}


def test_a_run_is_one_line() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(FakeSource(3, name="street.mp4")) as run:
        assert repr(run) == "Run('street.mp4': 0 results read)"
        next(run)
        assert repr(run) == "Run('street.mp4': 1 result read)"
        assert len(list(run)) == 2
        assert repr(run) == "Run('street.mp4': finished)"
