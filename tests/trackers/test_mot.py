"""MOT text files: what goes in comes out, and what is wrong is named with its line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from trackers.mot import MotRows, read_camera_motion, read_detections, read_mot, write_tracks

GOOD = "1,1,0,0,9,9,1,1,1\n"

places = st.floats(-5000, 5000, allow_nan=False)
sides = st.floats(0, 3000, allow_nan=False)
boxes = st.tuples(places, places, sides, sides).map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3]))
rows = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 9), boxes, st.floats(0, 1)), max_size=20)


def written(folder: Path, text: str) -> Path:
    path = folder / "det.txt"
    path.write_text(text)
    return path


def some_tracks() -> MotRows:
    corners = np.array([[1.0, 2, 11, 22], [3, 4, 13, 24]])
    return MotRows(np.array([1, 2]), np.array([7, 7]), corners, np.array([0.5, 0.25]), np.zeros(2, int))


@given(rows)
def test_what_is_written_is_read_back_to_two_decimals(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[int, int, tuple[float, ...], float]]
) -> None:
    path = tmp_path_factory.mktemp("mot") / "tracks.txt"
    table = sorted(table, key=lambda row: row[0])
    frames, ids = np.array([row[:2] for row in table], np.int64).reshape(-1, 2).T
    corners = np.array([row[2] for row in table], np.float64).reshape(-1, 4)
    scores = np.array([row[3] for row in table], np.float64)
    write_tracks(path, MotRows(frames, ids, corners, scores, np.zeros_like(ids)))
    found = read_detections(path)
    assert_array_equal(found.frames, frames)
    assert_allclose(found.boxes, corners, atol=0.0101)
    assert_allclose(found.scores, scores, atol=5.1e-5)


def test_detections_are_ordered_by_frame_and_within_a_frame_as_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "2,-1,10,20,30,40,0.5,-1,-1,-1\n\n1, -1, 1, 2, 3, 4\n2,-1,0,0,5,5,0.9,\n")
    found = read_detections(path)
    assert_array_equal(found.frames, [1, 2, 2])
    assert_array_equal(found.boxes, [[1, 2, 4, 6], [10, 20, 40, 60], [0, 0, 5, 5]])
    assert_array_equal(found.scores, [1, 0.5, 0.9])
    assert_array_equal(found.ids, [-1, -1, -1])


def test_an_empty_file_holds_no_detections(tmp_path: Path) -> None:
    assert read_detections(written(tmp_path, "\n")).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1,-1,1,2,3\n", "line 1: expected at least 6 columns, found 5"),
        ("1,-1,1,2,3,4\n0,-1,1,2,3,4\n", "line 2: expected a whole frame number from 1, found 0"),
        ("1.5,-1,1,2,3,4\n", "line 1: expected a whole frame number from 1, found 1.5"),
        ("1,-1,1,2,3,-4\n", "line 1: expected a width and height of 0 px or more, found -4"),
        ("frame,id\n", "line 1: expected comma-separated numbers frame,id,.*, found 'frame,id'"),
        ("1,-1,nan,2,3,4\n", "line 1: expected comma-separated numbers .*, found '1,-1,nan,2,3,4'"),
    ],
)
def test_a_row_that_is_no_box_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{tmp_path}/det.txt, {sentence}$"):
        read_detections(written(tmp_path, text))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "det.txt").write_bytes(b"\xff\xfe1,2")
    with pytest.raises(ValueError, match=r"found: bytes that are not UTF-8 text$"):
        read_detections(tmp_path / "det.txt")
    with pytest.raises(ValueError, match=r"found: No such file or directory$"):
        read_detections(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "2,x,0,0,9,9,1,1,1",
            r"line 3: expected comma-separated finite numbers frame,id,.*, found '2,x,0,0,9,9,1,1,1'",
        ),
        ("2,1,nan,0,9,9,1,1,1", r"line 3: expected comma-separated finite numbers"),
        ("1e30,1,0,0,9,9,1,1,1", r"line 3: expected comma-separated finite numbers"),
        ("2 1 0 0 9 9 1 1 1", r"line 3: expected comma-separated finite numbers"),
        ("2,1,0,0,9,9,1,1", r"line 3: expected 9 columns as in the rows above, found 8"),
        ("2.5,1,0,0,9,9,1,1,1", r"line 3: expected a whole number as frame, found 2\.5"),
        ("2,1.5,0,0,9,9,1,1,1", r"line 3: expected a whole number as id, found 1\.5"),
        ("11,1,0,0,9,9,1,1,1", r"line 3: expected a frame from 1 to 10, the length of the sequence, found 11"),
        ("0,1,0,0,9,9,1,1,1", r"line 3: expected a frame from 1 to 10, the length of the sequence, found 0"),
        ("2,-1,0,0,9,9,1,1,1", r"line 3: expected an id of 0 or more, found -1"),
        ("2,1,0,0,-9,9,1,1,1", r"line 3: expected a width of 0 px or more, found -9"),
        ("1,1,5,5,9,9,1,1,1", r"line 3: expected every id once in a frame, found id 1 of frame 1 already on line 1"),
    ],
)
def test_a_malformed_row_of_tracks_is_named_by_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    """The bad row comes after a good one and a blank line."""
    path = tmp_path / "gt.txt"
    path.write_text(GOOD + "\n" + text + "\n")
    with pytest.raises(ValueError, match=sentence):
        read_mot(path, length=10)


def test_too_few_columns(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("1,1,0,0,9,9\n")
    assert len(read_mot(path, length=1)) == 1
    with pytest.raises(ValueError, match="line 1: expected at least 7 columns, found 6"):
        read_mot(path, length=1, extra_columns=1)


def test_bytes_that_are_no_tracks(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"expected a MOT text file at .*t.txt, found: bytes that are not UTF-8 text"):
        read_mot(tmp_path / "t.txt", length=1)


def test_camera_motion_is_read_with_blanks_or_commas_and_begins_with_the_identity(tmp_path: Path) -> None:
    path = written(tmp_path, "0 9 9 9 9 9 9\n1, 1, 0, 5, 0, 1, -2\n2\t1 0.5 0 -0.5 1 3\n")
    found = read_camera_motion(path)
    assert_array_equal(found, [np.eye(2, 3), [[1, 0, 5], [0, 1, -2]], [[1, 0.5, 0], [-0.5, 1, 3]]])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0 1 0 0 0 1\n", "line 1: expected 7 columns, found 6"),
        ("1 1 0 0 0 1 0\n", "line 1: expected frame index 0, found 1"),
        ("0 1 0 x 0 1 0\n", "line 1: expected an index and the six numbers of a 2 x 3 matrix, found '0,1,0,x,0,1,0'"),
    ],
)
def test_a_row_that_is_no_camera_motion_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"{sentence}$"):
        read_camera_motion(written(tmp_path, text))


def test_tracks_are_written_as_mot_results(tmp_path: Path) -> None:
    write_tracks(tmp_path / "t.txt", some_tracks())
    text = "1,7,1.00,2.00,10.00,20.00,0.5000,-1,-1,-1\n2,7,3.00,4.00,10.00,20.00,0.2500,-1,-1,-1\n"
    assert (tmp_path / "t.txt").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]


def test_an_earlier_file_stays_whole_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "earlier\n")

    def full_disk(self: Path, text: str, **options: str) -> int:
        with self.open("w") as file:
            file.write(text[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_tracks(path, some_tracks())
    assert path.read_text() == "earlier\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_is_written_and_not_replaced() -> None:
    write_tracks("/dev/null", some_tracks())
    assert not Path("/dev/null").is_file()
