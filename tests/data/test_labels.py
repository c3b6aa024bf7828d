"""Label files: what a line says, what is wrong with it, and that what is written can be read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamdet.data.labels import MAX_FILE_BYTES, Fault, LabelFormat, format_label, read_labels


def test_a_line_is_a_class_and_a_box(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1 0.5 0.25 0.2 0.1\n\n0 0.1 0.1 0.2 0.2\n")
    objects, faults = read_labels(path, 2)
    assert faults == []
    assert objects.class_ids.tolist() == [1, 0]
    np.testing.assert_allclose(objects.boxes, [[0.4, 0.2, 0.6, 0.3], [0, 0, 0.2, 0.2]], atol=1e-6)


def test_a_polygon_gives_the_box_around_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.1 0.5 0.4 0.2 0.3 0.9")
    objects, faults = read_labels(path, 1)
    assert faults == []
    np.testing.assert_allclose(objects.boxes, [[0.1, 0.2, 0.4, 0.9]], atol=1e-6)


POINTS = "0.1 0.9 2 0.3 0.8 0"  # two key points: x, y, and whether the point is visible


@pytest.mark.parametrize(
    ("line", "values"), [(f"0 0.5 0.5 0.2 0.4 {POINTS}", 6), ("0 0.5 0.5 0.2 0.4 0.1 0.9", 2), ("0 0.5 0.5 0.2 0.4", 6)]
)
def test_the_box_of_a_pose_comes_before_its_key_points(tmp_path: Path, line: str, values: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text(line)
    objects, faults = read_labels(path, 1, LabelFormat(kpt_shape=(values // 2, 2)))
    assert faults == []
    np.testing.assert_allclose(objects.boxes, [[0.4, 0.3, 0.6, 0.7]], atol=1e-6)


def test_a_pose_with_other_key_points_is_no_box(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.5 0.5 0.2 0.4 0.1 0.9 0.3 0.8")
    objects, faults = read_labels(path, 1, LabelFormat(kpt_shape=(2, 3)))
    assert (len(objects.boxes), [fault.kind for fault in faults]) == (0, ["not a box"])


@pytest.mark.parametrize(
    ("line", "values", "box"),
    [
        ("0 0.5 0.5 0.2 0.4 0.9", 0, [0.4, 0.3, 0.6, 0.7]),
        (f"0 0.5 0.5 0.2 0.4 {POINTS} 0.9", 6, [0.4, 0.3, 0.6, 0.7]),
        ("0 0.1 0.5 0.4 0.2 0.3 0.9 0.05", 0, [0.1, 0.2, 0.4, 0.9]),
    ],
)
def test_a_score_at_the_end_is_ignored_and_told(tmp_path: Path, line: str, values: int, box: list[float]) -> None:
    path = tmp_path / "a.txt"
    path.write_text(line)
    objects, faults = read_labels(path, 1, LabelFormat(kpt_shape=(values // 2, 2)))
    np.testing.assert_allclose(objects.boxes, [box], atol=1e-6)
    assert [fault.kind for fault in faults] == ["score ignored"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf0 0.5 0.5 0.2 0.4\n",
        "0 0.5 0.5 0.2 0.4\r\n".encode("utf-16"),
        b"0\t0.5\t5e-1\t+0.2 4.0E-1\r\n",
        b"0.0 0.5 0.5 0.2 0.4",
    ],
)
def test_a_line_may_be_written_in_other_ways(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    objects, faults = read_labels(path, 1)
    assert faults == []
    np.testing.assert_allclose(objects.boxes, [[0.4, 0.3, 0.6, 0.7]], atol=1e-6)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("2 0.5 0.5 0.2 0.2", "unknown class"),
        ("-1 0.5 0.5 0.2 0.2", "unknown class"),
        ("0.5 0.5 0.5 0.2 0.2", "not a box"),
        ("0 0.5 0.5 0.2", "not a box"),
        ("0 0.5 0.5 0.2 0.2 1.5", "not a box"),
        ("0 0.5 0.5 0.2 0.2 -0.5", "not a box"),
        ("0", "not a box"),
        ("0, 0.5, 0.5, 0.2, 0.2", "not a box"),
        ("0 0,5 0,5 0,2 0,2", "not a box"),
        ("nan 0.5 0.5 0.2 0.2", "not a box"),
        ("1e400 0.5 0.5 0.2 0.2", "not a box"),
        ("1e300 0.5 0.5 0.2 0.2", "unknown class"),
        ("0 0.5 0.5 0.2 nan", "not a box"),
        ("0 0.5 0.5 0 0.2", "not a box"),
        ("0 0.5 0.5 -0.2 0.2", "not a box"),
        ("0 1.5 0.5 0.2 0.2", "not a box"),
        ("cat 0.5 0.5 0.2 0.2", "not a box"),
    ],
)
def test_a_line_that_is_no_box_of_a_known_class_is_left_out(tmp_path: Path, line: str, kind: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"0 0.3 0.3 0.2 0.2\n{line}\n")
    objects, faults = read_labels(path, 2)
    assert len(objects.boxes) == 1
    assert [(fault.kind, fault.line, fault.found) for fault in faults] == [(kind, 2, line)]


def test_a_box_over_the_edge_is_clipped_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.95 0.5 0.3 0.2")
    objects, faults = read_labels(path, 1)
    np.testing.assert_allclose(objects.boxes, [[0.8, 0.4, 1, 0.6]], atol=1e-6)
    assert [fault.kind for fault in faults] == ["out of range"]


def test_rounding_over_the_edge_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.95 0.5 0.105 0.2")
    objects, faults = read_labels(path, 1)
    assert (faults, objects.boxes.max()) == ([], 1)


def test_a_line_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n")
    objects, faults = read_labels(path, 2)
    assert objects.class_ids.tolist() == [0, 1]
    assert [(fault.kind, fault.line) for fault in faults] == [("duplicate", 3)]


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    objects, faults = read_labels(tmp_path / "a.txt", 1)
    assert (objects.boxes.shape, faults) == ((0, 4), [])


def test_a_file_that_is_no_text_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content in (b"\xff\xfe\x00", b"0 0.5 0.5 0.2 0.4 \xfc"):
        path.write_bytes(content)
        objects, faults = read_labels(path, 1)
        assert len(objects.boxes) == 0
        assert faults == [Fault("unreadable", 0, "expected text in UTF-8")]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    objects, faults = read_labels(path, 1)
    assert (len(objects.boxes), faults) == (0, [Fault("unreadable", 0, "larger than 16 MB")])


def test_many_lines_take_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"0 0.5 0.5 0.2 {0.1 + k / 1e6:.6f}\n" for k in range(100_000)))
    objects, faults = read_labels(path, 1)  # a search of all lines for each would take minutes
    assert (len(objects.boxes), faults) == (100_000, [])


def test_a_faulty_line_is_shown_cut_and_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x" * 1000 + "\n\x1b[31mred\n")
    assert [fault.found for fault in read_labels(path, 1)[1]] == ["x" * 80, r"\x1b[31mred"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    class_id=st.integers(0, 79),
    corner=st.tuples(st.floats(0, 600, width=32), st.floats(0, 400, width=32)),
    sides=st.tuples(st.floats(1, 40, width=32), st.floats(1, 80, width=32)),
)
def test_what_is_written_is_read(
    tmp_path: Path, class_id: int, corner: tuple[float, float], sides: tuple[float, float]
) -> None:
    box = np.array([*corner, corner[0] + sides[0], corner[1] + sides[1]], np.float32)
    path = tmp_path / "a.txt"
    path.write_text(format_label(class_id, box, (480, 640)))
    objects, faults = read_labels(path, 80)
    assert (objects.class_ids.tolist(), faults) == ([class_id], [])
    np.testing.assert_allclose(objects.boxes[0] * [640, 480, 640, 480], box, atol=2e-3)
