"""The compiled functions return what those in NumPy return, to the bit, and runs are the same with either."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import trackers
from trackers.acceleration import NUMPY
from trackers.config import TRACKERS, read_config
from trackers.streamsort import StreamSort
from trackers.types import FloatArray, IntArray

compiled = pytest.importorskip("trackers.compiled", reason="needs numba, the extra fast")

ROOT = Path(__file__).resolve().parents[2]
# Sizes, places and variances of any scale, among them equal ones, zeros and those that round.
NUMBERS = st.one_of(
    st.integers(-50, 50).map(float), st.floats(-1e4, 1e4), st.sampled_from([0.1, 1 / 3, 1e-300, 1e12, 2.0**53])
)
POSITIVE = NUMBERS.map(lambda number: abs(number) + 1e-3)
COUNTS = st.integers(0, 12)


def matrix(draw: st.DrawFn, *shape: int, numbers: st.SearchStrategy[float] = NUMBERS) -> FloatArray:
    """Draw an array of `shape` whose rows or columns come last in memory, writable or not."""
    array = np.array(draw(arrays(np.float64, shape, elements=numbers)), order=draw(st.sampled_from("CF")))
    array.flags.writeable = draw(st.booleans())
    return array


def rows_of(draw: st.DrawFn, count: int, length: int, least: int = 0) -> IntArray:
    return draw(arrays(np.int64, count if length > 0 else 0, elements=st.integers(least, max(length - 1, least))))


def states(draw: st.DrawFn, count: int) -> FloatArray:
    array = matrix(draw, count, 5, 4).copy()
    array[:, [2, 4]] = np.abs(array[:, [2, 4]])
    return array


def boxes(draw: st.DrawFn, count: int) -> FloatArray:
    """Draw boxes (4, N), some without an area."""
    corners, sizes = matrix(draw, 2, count), matrix(draw, 2, count, numbers=POSITIVE)
    return np.concatenate([corners, corners + sizes * draw(st.sampled_from([0, 1, 1]))])


def pair(draw: st.DrawFn) -> tuple[float, float]:
    return draw(NUMBERS), draw(NUMBERS)


def seen(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray, IntArray, IntArray]:
    """Draw states, innovations, measurements, and rows of tracks and of measurements."""
    tracks, detections, pairs = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    pairs = pairs if tracks and detections else 0
    rows, index = rows_of(draw, pairs, tracks), rows_of(draw, pairs, detections)
    innovation = matrix(draw, tracks, 4, numbers=POSITIVE)
    return states(draw, tracks), innovation, matrix(draw, detections, 4), rows, index


def prediction(draw: st.DrawFn) -> tuple[Any, ...]:
    count = draw(COUNTS)
    elapsed = draw(st.one_of(POSITIVE, st.just(1.0)))
    noises = matrix(draw, count, 4, numbers=POSITIVE), matrix(draw, count, 4, numbers=POSITIVE)
    return (
        states(draw, count),
        *noises,
        elapsed,
        draw(POSITIVE),
        pair(draw),
        draw(st.sampled_from([(0.0, 0.0), (0.3, -2.0)])),
    )


def correction(draw: st.DrawFn) -> tuple[Any, ...]:
    count, detections = draw(COUNTS), draw(st.integers(1, 12))
    innovation = matrix(draw, count, 4, numbers=POSITIVE)
    return states(draw, count), matrix(draw, detections, 4), innovation, rows_of(draw, count, detections, least=-1)


def search(draw: st.DrawFn) -> tuple[Any, ...]:
    ours, theirs = boxes(draw, draw(st.integers(1, 12))), boxes(draw, draw(st.integers(1, 12)))
    return ours[:2], ours[2:], theirs[:2], theirs[2:]


def overlap(draw: st.DrawFn) -> tuple[Any, ...]:
    ours, theirs, pairs = boxes(draw, draw(st.integers(1, 9))), boxes(draw, draw(st.integers(1, 9))), draw(COUNTS)
    rows, columns = rows_of(draw, pairs, ours.shape[1]), rows_of(draw, pairs, theirs.shape[1])
    return ours, theirs, matrix(draw, 2, ours.shape[1], numbers=POSITIVE), np.sort(rows), columns


def votes(draw: st.DrawFn) -> tuple[Any, ...]:
    tracks, labels = draw(COUNTS), np.array(draw(st.lists(st.integers(0, 90), min_size=1, max_size=4, unique=True)))
    rows = np.flatnonzero(draw(arrays(bool, tracks)))
    class_ids = labels[rows_of(draw, len(rows), len(labels))]
    table, scores = matrix(draw, tracks, len(labels)).copy(), matrix(draw, len(rows))
    return table, rows, labels, class_ids, scores


def view(draw: st.DrawFn) -> tuple[Any, ...]:
    count = draw(st.integers(1, 12))
    size = draw(st.sampled_from([(np.inf, np.inf), (30.0, 20.0)]))
    return states(draw, count), rows_of(draw, draw(COUNTS), count), size, 0.16, 0.01, 1.0


ARGUMENTS: dict[str, Callable[[st.DrawFn], tuple[Any, ...]]] = {
    "predicted": prediction,
    "corrected": correction,
    "sides": lambda draw: (matrix(draw, draw(COUNTS), 4), 1.0),
    "centre_size": lambda draw: (matrix(draw, draw(COUNTS), 4),),
    "corners": lambda draw: (count := draw(COUNTS), matrix(draw, count, 2), matrix(draw, count, 2))[1:],
    "compared": search,
    "swept": search,
    "overlaps": overlap,
    "unrivalled": lambda draw: (count := draw(COUNTS), rows_of(draw, count, 6), rows_of(draw, count, 6))[1:],
    "count_votes": votes,
    "sighted": seen,
    "depth_distances": seen,
    "in_view": view,
}


def bits(values: Any) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Return types, shapes and bits of one or more arrays."""
    return [
        (part.dtype.str, part.shape, part.tobytes()) for part in (values if isinstance(values, tuple) else (values,))
    ]


def outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Return what `function` returns, or in its first argument if it returns nothing."""
    own = arguments[0].copy(order="A"), *arguments[1:]
    with np.errstate(all="ignore"):
        returned = function(*own)
    return bits(own[0] if returned is None else returned)


@pytest.mark.parametrize("name", ARGUMENTS)
@given(drawn=st.data())
def test_a_compiled_function_is_equal_to_the_bit(name: str, drawn: st.DataObject) -> None:
    arguments = drawn.draw(st.composite(ARGUMENTS[name])())
    assert outcome(getattr(compiled, name), arguments) == outcome(NUMPY[name], arguments)


@given(
    scores=st.lists(st.one_of(st.floats(), st.sampled_from([0.0, 1.0])), max_size=3), label=st.floats(), far=st.floats()
)
def test_the_same_is_refused(scores: list[float], label: float, far: float) -> None:
    arguments = np.array([[0.0, 0, far, 1]]), np.array(scores), np.array([label])
    assert refusal(compiled.require_plausible, arguments) == refusal(NUMPY["require_plausible"], arguments)


def refusal(function: Callable[..., None], arguments: tuple[npt.ArrayLike, ...]) -> str:
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
    return ""


def test_every_function_that_may_be_replaced_is_compared() -> None:
    assert set(NUMPY) == {*ARGUMENTS, "require_plausible"}


def test_a_correction_without_measurements_is_refused() -> None:
    with pytest.raises(IndexError):
        compiled.corrected(np.ones((1, 5, 4)), np.ones((0, 4)), np.ones((1, 4)), np.array([-1]))


def test_detections_of_any_memory_are_taken() -> None:
    """Read-only, not aligned, of the other byte order, of every second row, lists."""
    rows = np.array([[100.0, 50, 140, 150], [300, 50, 340, 150]])
    raw = np.frombuffer(b"\0" + rows.tobytes(), np.uint8)[1:].view(np.float64).reshape(2, 4)
    assert not raw.flags.aligned and not raw.flags.writeable
    for given_boxes in (
        rows,
        raw,
        rows.astype(">f8"),
        rows.astype(np.float32),
        np.repeat(rows, 2, axis=0)[::2],
        rows.tolist(),
    ):
        tracker = StreamSort()
        for _ in range(3):
            tracks = tracker.update(given_boxes, np.array([0.9, 0.8]), [0, 0], image_size=(640, 480))
        assert tracks.ids.tolist() == [1, 2]
        assert bits(tracks.boxes) == bits(rows)


@pytest.mark.parametrize("number", [int, float, np.float32, np.float64, np.int64])
def test_times_and_sizes_of_any_type_are_taken(number: Callable[[int], float]) -> None:
    """A hidden track is reported, which needs both."""
    tracker, size = StreamSort(), (number(640), 480)
    for _ in range(5):
        tracker.update([[100, 50, 140, 150]], [0.9], [0], elapsed=number(1), image_size=size)
    hidden = tracker.update(np.zeros((0, 4)), [], [], elapsed=number(1), image_size=size)
    assert hidden.ids.tolist() == [1]
    assert hidden.boxes.tolist() == [[100, 50, 140, 150]]


RUN = """
import hashlib, os, sys
from pathlib import Path
{before}
import numpy as np
from trackers import acceleration, states
from trackers.config import TRACKERS, read_config
from trackers.mot import read_camera_motion, read_detections
from trackers.offline import track_frames

digest = hashlib.sha256()
for path, camera_motion in zip(sys.argv[1::2], sys.argv[2::2]):
    detections = read_detections(Path(path))
    motion = read_camera_motion(Path(camera_motion)) if camera_motion else None
    frames = range(int(detections.frames.min()), int(detections.frames.min()) + 150)
    for name in TRACKERS:
        rows = track_frames(read_config(name).build(30.0), detections, frames=frames, camera_motion=motion)
        for column in rows:
            digest.update(np.ascontiguousarray(column).tobytes())
print("NumPy" if states.predicted is acceleration.NUMPY["predicted"] else "compiled", digest.hexdigest())
"""

WITHOUT = {
    "switched off": "os.environ['NUMBA_DISABLE_JIT'] = '1'",
    "not installed": "sys.modules['numba'] = None",
}


def run(before: str, *files: object, **environment: str) -> tuple[str, str]:
    """Return which functions a fresh interpreter runs all trackers with, and the digest of their tracks in `files`."""
    command = [sys.executable, "-P", "-c", RUN.format(before=before), *map(str, files)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    chosen, digest = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    return chosen, digest


@pytest.fixture(scope="module")
def footage(data: Path) -> list[Path | str]:
    """Detections and camera motion of walkers seen from a moving camera, and of players."""
    walkers = data / "mot" / "MOT17" / "MOT17-05"
    players = next((data / "mot" / "SportsMOT").glob("*/det/sim.txt"))
    return [walkers / "det" / "yolox_x.txt", walkers / "gmc.txt", players, ""]


@pytest.fixture(scope="module")
def usual(footage: list[Path | str]) -> tuple[str, str]:
    return run("", *footage)


def test_compiled_functions_are_used(usual: tuple[str, str]) -> None:
    assert usual[0] == "compiled"


@pytest.mark.parametrize("way", WITHOUT)
def test_the_tracks_of_every_tracker_are_the_same_without(
    way: str, footage: list[Path | str], usual: tuple[str, str]
) -> None:
    assert run(WITHOUT[way], *footage) == ("NumPy", usual[1])


def test_where_nothing_can_be_kept_on_disk_numpy_is_used(tmp_path: Path) -> None:
    """A read-only installation and no home."""
    shutil.copytree(Path(trackers.__path__[0]), tmp_path / "trackers", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "trackers" / "__pycache__").touch()
    nowhere = str(tmp_path / "trackers" / "__init__.py" / "home")
    environment = {"PYTHONPATH": str(tmp_path), "HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": ""}
    assert run("", **environment)[0] == "NumPy"


def test_trackers_in_threads_do_not_disturb_each_other() -> None:
    walk = [np.array([[x + 3 * step, 50, x + 40 + 3 * step, 150] for x in range(0, 900, 30)]) for step in range(40)]

    def tracked(name: str) -> list[Any]:
        tracker = read_config(name).build(frame_rate=30)
        scores, class_ids = np.linspace(0.5, 0.9, 30), np.zeros(30)
        return [bits(tracker.update(rows, scores, class_ids)[:5]) for rows in walk]

    names = [*TRACKERS] * 3
    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(tracked, names)) == [tracked(name) for name in names]
