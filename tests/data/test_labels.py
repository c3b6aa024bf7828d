"""Label files: what a line says, what is wrong with it, and that what is written can be read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamdet.data.labels import format_label, read_labels


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


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("2 0.5 0.5 0.2 0.2", "unknown class"),
        ("-1 0.5 0.5 0.2 0.2", "unknown class"),
        ("0.5 0.5 0.5 0.2 0.2", "not a box"),
        ("0 0.5 0.5 0.2", "not a box"),
        ("0 0.5 0.5 0.2 0.2 0.9", "not a box"),
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
    path.write_bytes(b"\xff\xfe\x00")
    objects, faults = read_labels(path, 1)
    assert len(objects.boxes) == 0
    assert [(fault.kind, fault.line) for fault in faults] == [("unreadable", 0)]


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
