"""A restart keeps ids: the state on disk, what it is worth later, and files that are none."""

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamdet.errors import InputError, StreamdetError
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.types import Detections, Frame

BLANK = np.zeros((32, 32, 3), np.uint8)


def see(tracker: FrameTracker, first_index: int, lefts_px: Sequence[Sequence[float]]) -> list[list[int]]:
    """Return the ids of people at these places, one list a frame, at 25 Hz."""
    ids = []
    for index, places in enumerate(lefts_px, start=first_index):
        boxes = [[x, 100, x + 40, 200] for x in places]
        found = Detections(boxes, [0.9] * len(boxes), [0] * len(boxes))  # type: ignore[arg-type]
        ids.append(tracker.update(Frame(index, index, Fraction(1, 25), BLANK, "test", 0.0), found).ids.tolist())
    return ids


def restarted(path: Path, *, live: bool = False, name: str = "streamsort") -> FrameTracker:
    tracker = load_tracker(name, 25)
    tracker.remember(path, live=live)
    return tracker


@pytest.mark.parametrize("name", ["streamsort", "botsort", "bytetrack", "ocsort", "sort"])
def test_a_restart_keeps_ids_and_issues_no_id_twice(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ids.npz"
    before = restarted(path, name=name)
    see(before, 0, [[100, 400]] * 4)
    before.close()
    after = restarted(path, name=name)
    assert see(after, 0, [[100, 400]] + [[100, 400, 700]] * 4)[-1] == [1, 2, 3]


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
    with pytest.raises(StreamdetError, match=r"writing the tracker's state to .* failed: No such file or directory"):
        tracker.close()
