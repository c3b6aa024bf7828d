"""How a result shows itself: as a line, a picture, a file and a table."""

import io
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamdet.errors import InputError, MissingExtraError, OutputError
from streamdet.result import IMAGE_ENDINGS, Result, tracks_table
from streamdet.types import Detections, Frame, Tracks

NAMES = ("person", "car")
COLUMNS = ["frame", "time_s", "id", "x1", "y1", "x2", "y2", "score", "class_id", "class_name", "predicted"]


def result(index: int = 12, ids: tuple[int, ...] = (3, 4, 8), hw: tuple[int, int] = (48, 64)) -> Result:
    """A person, a car and a predicted person, those of `ids`."""
    boxes = np.array([[4, 4, 20, 40], [30, 8, 60, 30], [40, 20, 44.5, 40]], np.float32)
    rows = [(3, 4, 8).index(track_id) for track_id in ids]
    tracks = Tracks(
        np.array([3, 4, 8]), boxes, np.array([0.5, 0.25, 0.75]), np.array([0, 1, 0]), np.array([0, 1, -1]), NAMES
    )
    found = Detections(boxes[:2], tracks.scores[:2], tracks.class_ids[:2], NAMES)
    image = np.full((*hw, 3), 90, np.uint8)
    image[..., 2] = 200
    return Result(Frame(index, index, Fraction(1, 25), image, "street", 0.0), found, tracks[rows], NAMES, {})


def test_a_result_is_one_line() -> None:
    assert repr(result()) == "Result(frame 12 at 0.480 s: 2 person, 1 car)"
    assert repr(result(ids=())) == "Result(frame 12 at 0.480 s: no tracks)"


def test_the_picture_is_drawn_on_and_the_frame_stays() -> None:
    before = result()
    picture = before.draw()
    picture[:] = 0
    assert (before.draw() != 0).any()
    assert before == result()


@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_a_file_holds_what_is_drawn(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending.upper()}"
    path.write_text("an earlier file")
    result().save(path)
    read = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert read is not None
    difference = np.abs(read.astype(int) - result().draw())
    assert difference.mean() < 12  # with red and blue exchanged it is 70
    assert ending in (".jpg", ".jpeg", ".webp") or difference.max() == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"image file ending in \.bmp, .*, found 'a.mp4'"):
        result().save(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match=r"expected to write .*/none/a.png, but no such file"):
        result().save(tmp_path / "none" / "a.png")


@pytest.mark.parametrize(("hw", "shown_hw"), [((48, 64), (48, 64)), ((540, 1920), (270, 960)), ((2000, 1), (960, 1))])
def test_a_notebook_shows_a_png_of_a_size_that_fits(hw: tuple[int, int], shown_hw: tuple[int, int]) -> None:
    pillow: Any = pytest.importorskip("PIL.Image")
    shown = pillow.open(io.BytesIO(result(hw=hw)._repr_png_()))
    assert (shown.format, shown.mode, shown.size) == ("PNG", "RGB", shown_hw[::-1])
    if hw == shown_hw:
        np.testing.assert_array_equal(np.asarray(shown), result().draw())


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_tracks_are_a_table(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(package)
    if package == "polars":
        monkeypatch.setitem(sys.modules, "pandas", None)
    table = tracks_table([result(), result(13, ()), result(14, (8,))])
    assert isinstance(table, module.DataFrame)
    assert list(table.columns) == COLUMNS
    rows = table.to_dict("records") if package == "pandas" else table.to_dicts()
    expected = [
        (12, 0.48, 3, 4, 4, 20, 40, 0.5, 0, "person", False),
        (12, 0.48, 4, 30, 8, 60, 30, 0.25, 1, "car", False),
        (12, 0.48, 8, 40, 20, 44.5, 40, 0.75, 0, "person", True),
        (14, 0.56, 8, 40, 20, 44.5, 40, 0.75, 0, "person", True),
    ]
    assert rows == [dict(zip(COLUMNS, row, strict=True)) for row in expected]
    alone = result().to_dataframe()
    assert alone.equals(table[:3])
    assert alone.dtypes is not None


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_table_without_rows_has_the_same_columns(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(package)
    if package == "polars":
        monkeypatch.setitem(sys.modules, "pandas", None)
    full, empty = tracks_table([result()]), tracks_table([])
    assert len(empty) == 0
    assert list(empty.dtypes) == list(full.dtypes)
    assert list(result(ids=()).to_dataframe().dtypes) == list(full.dtypes)


def test_without_pandas_and_polars_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"pandas is not installed; .*streamdet\[interop\]"):
        result().to_dataframe()


def test_names_come_from_the_run_where_tracks_have_none() -> None:
    unnamed = replace(result(), tracks=replace(result().tracks, class_names=()))
    assert repr(unnamed) == repr(result())
    assert list(unnamed.to_dataframe()["class_name"]) == ["person", "car", "person"]
