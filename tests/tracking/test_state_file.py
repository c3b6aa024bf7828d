"""A restart keeps ids: the state on disk, what it is worth later, and files that are none."""

import functools
import io
import re
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.appearance import AppearanceModel
from streamdet.errors import InputError, OutputError
from streamdet.tracking.config import read_tracker
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.tracking.state import read_state, to_arrays
from streamdet.types import Detections, Float32Array, Frame
from trackers.config import TRACKERS

from .street import NAMES, RATE, outcome, street, undisturbed

BLANK = np.zeros((32, 32, 3), np.uint8)


def see(tracker: FrameTracker, first_index: int, lefts_px: Sequence[Sequence[float]]) -> list[list[int]]:
    """Return the ids of people at these places, one list a frame, at 25 Hz."""
    ids = []
    for index, places in enumerate(lefts_px, start=first_index):
        boxes = [[x, 100, x + 40, 200] for x in places]
        found = Detections(boxes, [0.9] * len(boxes), [0] * len(boxes))
        ids.append(tracker.update(Frame(index, index, Fraction(1, 25), BLANK, "test", 0.0), found).ids.tolist())
    return ids


def restarted(path: Path, *, live: bool = False, name: str = "streamsort") -> FrameTracker:
    tracker = load_tracker(name, 25)
    tracker.remember(path, (), live=live)
    return tracker


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_a_restart_keeps_ids_and_issues_no_id_twice(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ids.npz"
    before = restarted(path, name=name)
    see(before, 0, [[100, 400]] * 4)
    before.close()
    after = restarted(path, name=name)
    assert see(after, 0, [[100, 400]] + [[100, 400, 700]] * 4)[-1] == [1, 2, 3]


class Appearance(AppearanceModel):
    """Features of a given length, the same for all."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def embed(self, image: Any, boxes: Float32Array) -> Float32Array:
        return np.full((len(boxes), self.dimension), self.dimension**-0.5, np.float32)


def with_appearance(dimension: int, path: Path) -> FrameTracker:
    tracker = FrameTracker(read_tracker("streamsort"), 25, appearance=Appearance(dimension))
    tracker.remember(path, (), live=False)
    return tracker


def test_features_of_another_length_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "ids.npz"
    before = with_appearance(3, path)
    # They overlap, so that their features are asked for.
    see(before, 0, [[100, 110, 400]] * 4)
    before.close()
    content = path.read_bytes()
    with pytest.raises(InputError) as failure:
        with_appearance(4, path)
    expected = f"{path}: expected the state of a tracker with features of length 4, found 3"
    assert str(failure.value) == expected
    assert path.read_bytes() == content
    assert see(with_appearance(3, path), 4, [[100, 110, 400]])[-1] == [1, 2, 3]


def test_a_killed_run_has_saved_the_newest_id(tmp_path: Path) -> None:
    """Without `close`, and well within the second that passes between savings."""
    path = tmp_path / "ids.npz"
    see(restarted(path), 0, [[100]] * 2 + [[100, 400]] * 2)
    assert see(restarted(path), 0, [[100, 400]])[-1] == [1, 2]


def test_a_run_after_another_gives_what_one_run_gives(tmp_path: Path) -> None:
    way: list[Sequence[float]] = [[100 + 4.0 * i, 500 - 3.0 * i] for i in range(60)]
    once = see(load_tracker("streamsort", 25), 0, way)
    first = restarted(tmp_path / "ids.npz")
    ids = see(first, 0, way[:23])
    first.close()
    assert ids + see(restarted(tmp_path / "ids.npz"), 0, way[23:]) == once


@pytest.mark.parametrize(("away_s", "ids"), [(0.2, [1]), (3600, [2])])
def test_a_live_camera_moves_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away_s: float, ids: list[int]
) -> None:
    path = tmp_path / "ids.npz"
    before = restarted(path, live=True)
    see(before, 0, [[100]] * 5)
    before.close()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + away_s)
    assert see(restarted(path, live=True), 0, [[100], [100]])[-1] == ids


def test_the_state_of_another_tracker_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ids.npz"
    restarted(path, name="botsort").close()
    content = path.read_bytes()
    with pytest.raises(InputError) as failure:
        restarted(path, name="bytetrack")
    assert str(failure.value) == f"expected the state of bytetrack in {path}, found that of botsort"
    assert path.read_bytes() == content


def test_other_files_are_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ids.npz"
    restarted(path).close()
    whole = path.read_bytes()
    archive = tmp_path / "other.npz"
    np.savez(archive, a=np.zeros(3))
    for content in (b"", b"notes", whole[: len(whole) // 2], archive.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError) as failure:
            restarted(path)
        assert str(failure.value) == f"expected the state of a tracker in {path}, found another file"
        assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write the tracker's state to .*: No such file or directory"):
        restarted(tmp_path / "missing" / "ids.npz")


def test_a_disk_that_fails_later_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    tracker = restarted(folder / "ids.npz")
    (folder / "ids.npz").unlink()
    folder.rmdir()
    with pytest.raises(OutputError, match=r"writing the tracker's state to .* failed: No such file or directory"):
        tracker.close()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("cat", "cow"), "expected the state of a model whose class 1 is 'cow' in {path}, found 'dog'"),
        (("cat",), "expected the state of a model with as many classes as this one (1) in {path}, found 2"),
    ],
)
def test_the_state_of_another_model_is_refused_and_kept(tmp_path: Path, names: tuple[str, ...], sentence: str) -> None:
    path = tmp_path / "ids.npz"
    tracker = load_tracker("streamsort", RATE)
    tracker.remember(path, NAMES, live=False)
    for step in street()[:5]:
        outcome(tracker, step)
    tracker.close()
    content = path.read_bytes()
    other = load_tracker("streamsort", RATE)
    with pytest.raises(InputError) as failure:
        other.remember(path, names, live=False)
    assert str(failure.value) == sentence.format(path=path)
    assert path.read_bytes() == content
    assert other.state(names).clock is None
    other.remember(path, NAMES, live=False)
    assert outcome(other, street()[5]) == outcome(tracker, street()[5])


def write_first_version(path: Path, tracker: FrameTracker) -> None:
    """Write the tracker's state as the first version of the file had it: its arrays, its name and the time."""
    arrays = tracker.state(()).tracker
    np.savez(path, allow_pickle=False, **arrays, tracker=np.array("streamsort"), saved_at_unix_s=np.array(1.5))


def test_a_file_of_the_first_version_goes_on(tmp_path: Path) -> None:
    tracker, path = load_tracker("streamsort", RATE), tmp_path / "ids.npz"
    for step in street()[:10]:
        outcome(tracker, step)
    write_first_version(path, tracker)
    state = read_state(path)
    assert state is not None
    assert (state.saved_at_unix_s, state.clock, state.class_names) == (1.5, None, ())
    assert (dict(state.camera_motion), dict(state.trails), dict(state.stages)) == ({}, {}, {})
    again = load_tracker("streamsort", RATE)
    again.remember(path, NAMES, live=False)
    frame, found = street()[10]
    assert found is not None
    assert again.update(frame, found).ids.tolist() == tracker.update(frame, found).ids.tolist()


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path, arrays = tmp_path / "ids.npz", to_arrays(undisturbed("sort")[1][3])
    header = arrays["header"].tobytes().replace(b'"version": 2', b'"version": 3')
    np.savez(path, allow_pickle=False, **{**arrays, "header": np.frombuffer(header, np.uint8)})
    with pytest.raises(InputError) as failure:
        read_state(path)
    assert str(failure.value) == f"{path}: expected a state of version 2 or before, found version 3"


def test_a_file_that_would_fill_the_memory_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ids.npz"
    np.savez_compressed(path, ids=np.zeros(80 * 2**20, np.uint8))
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(InputError) as failure:
        read_state(path)
    assert str(failure.value) == f"{path}: expected a state of 64 MiB at most, found 80 MiB"


@functools.cache
def stored() -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **to_arrays(undisturbed("sort")[1][3]))
    return file.getvalue()


@settings(max_examples=300)
@given(place=st.integers(0), value=st.integers(0, 255), end=st.booleans())
def test_a_damaged_file_is_one_sentence(place: int, value: int, end: bool) -> None:
    content = bytearray(stored())
    place %= len(content)
    content[place] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ids.npz"
        path.write_bytes(content[:place] if end else content)
        try:
            assert read_state(path) is not None
        except InputError as error:
            # A damaged size may say that the file is too large, a damaged header that it is of a later version.
            sentences = (
                f"expected the state of a tracker in {path}, found another file",
                f"{path}: expected a state of ",
            )
            assert str(error).startswith(sentences)


@pytest.mark.parametrize("value", ["NaN", "1e999", "-1e40"])
def test_a_time_that_is_none_is_refused_and_kept(tmp_path: Path, value: str) -> None:
    path, arrays = tmp_path / "ids.npz", to_arrays(undisturbed("sort")[1][3])
    header = re.sub(
        rb'"saved_at_unix_s": [0-9.e+]+', b'"saved_at_unix_s": ' + value.encode(), arrays["header"].tobytes()
    )
    np.savez(path, allow_pickle=False, **{**arrays, "header": np.frombuffer(header, np.uint8)})
    content = path.read_bytes()
    with pytest.raises(InputError, match="expected the state of a run, found a time that is none"):
        load_tracker("sort", RATE).remember(path, NAMES, live=True)
    assert path.read_bytes() == content
