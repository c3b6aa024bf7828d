"""Times many of the default tracker at once, as over as many cameras, in a separate process.

    python -m benchmarks.tracking.clock_many WAY DETECTIONS.npz FRAMES

WAY is a name in `WAYS`. Prints the ms per update, of the clock and of processor time.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing.synchronize import Barrier
from threading import Lock

import numpy as np

from benchmarks.tracking.clock import IMAGE_SIZE
from trackers.config import DEFAULT_TRACKER, read_config
from trackers.types import FloatArray

TRACKERS = 16
NO_TURNS = nullcontext()
Frames = list[FloatArray]  # rows of box, score and class
Seconds = tuple[float, float]  # of the clock, and of processor time


def in_turn(frames: Frames) -> Seconds:
    """Run the trackers one after the other."""
    since = time.perf_counter()
    cpu_s = [_run(frames) for _ in range(TRACKERS)]
    return time.perf_counter() - since, sum(cpu_s)


def in_threads(frames: Frames, turn: AbstractContextManager[object] = NO_TURNS) -> Seconds:
    """Run each tracker in a thread of its own; every update waits for its `turn`, if there are turns."""
    with ThreadPoolExecutor(TRACKERS) as pool:
        since = time.perf_counter()
        cpu_s = list(pool.map(partial(_run, turn=turn), [frames] * TRACKERS))
        return time.perf_counter() - since, sum(cpu_s)


def in_threads_by_turns(frames: Frames) -> Seconds:
    """Run each tracker in a thread of its own, one update at a time."""
    return in_threads(frames, Lock())


def in_processes(frames: Frames) -> Seconds:
    """Run each tracker in a process of its own; their start is not timed."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(TRACKERS + 1)
    with context.Pool(TRACKERS, initializer=_begin, initargs=(ready,)) as pool:
        ready.wait()
        since = time.perf_counter()
        cpu_s = pool.map(_run, [frames] * TRACKERS, chunksize=1)
        return time.perf_counter() - since, sum(cpu_s)


WAYS: dict[str, Callable[[Frames], Seconds]] = {
    "turn": in_turn,
    "threads": in_threads,
    "threads_by_turns": in_threads_by_turns,
    "processes": in_processes,
}


def _begin(ready: Barrier) -> None:
    ready.wait()


def _run(frames: Frames, turn: AbstractContextManager[object] = NO_TURNS) -> float:
    """Run a tracker over `frames`, each in its `turn`; return the processor time that it took, in s."""
    tracker = read_config(DEFAULT_TRACKER).build(frame_rate=30)
    since = time.thread_time()
    for rows in frames:
        with turn:
            tracker.update(rows[:, :4], rows[:, 4], rows[:, 5], image_size=IMAGE_SIZE)
    return time.thread_time() - since


def main() -> None:
    way, path, count = sys.argv[1:]
    detections: FloatArray = np.load(path)["det"]
    frames = [detections[detections[:, 0] == t][:, 1:] for t in range(int(count))]
    wall_s, cpu_s = WAYS[way](frames)
    ms_each = 1e3 / (TRACKERS * len(frames))
    print(f"{wall_s * ms_each:.4f},{cpu_s * ms_each:.4f}")


if __name__ == "__main__":
    main()
