"""Measures runs that share a device: the age of a camera's results, and the cost of many runs at once.

    python benchmarks/runs.py vtest.avi --check

- A camera of 10 Hz with a detector that takes 4 ms, and one of 25 Hz with 50 ms in each of two slots: the age of the
  results when they are read, since the arrival of the frame, and the number of dropped frames.
- Sixteen runs over a video at once on a detector that takes no time, and one such run, alternating, each in a separate
  process: total frames per second, and CPU time per frame.
- Three cameras with three picture sizes over one model (the embedded one), as visitors of the demo have: the number of
  dropped frames, and the age of the results.

The detectors of the first two are stand-ins: a slot is a thread that sleeps, or returns at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

# The checkout comes before this file's folder, whose trackers.py would hide the package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, bars_table, missed
from streamdet.inference.session import ModelCard, Precision, Request, Slot
from streamdet.letterbox import Letterbox
from streamdet.pipeline.pipeline import Pipeline
from streamdet.types import Float32Array, Frame, ToDevice, VideoInfo

MANY = 16
SECONDS = 8.0
BOXES = 20


class Camera:
    """A source of grey frames of `hw` px at a steady rate, for some seconds."""

    def __init__(self, rate_hz: float, hw: tuple[int, int] = (64, 64), seconds: float = SECONDS) -> None:
        self.id, self.audio_from = f"camera {hw[1]}x{hw[0]}", None
        self.info = VideoInfo(hw[1], hw[0], Fraction(rate_hz), None, True)
        self.warnings: list[str] = []
        self._rate_hz, self._count, self._index = rate_hz, int(rate_hz * seconds), 0
        self._image = np.full((*hw, 3), 90, np.uint8)
        self._began_s: float | None = None

    def keep_on_device(self, to_device: ToDevice | None) -> None:
        """Do nothing: frames stay in host memory."""

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        index, self._index = self._index, self._index + 1
        if index >= self._count:
            raise StopIteration
        self._began_s = self._began_s or time.monotonic()
        time.sleep(max(self._began_s + (index + 1) / self._rate_hz - time.monotonic(), 0))
        return Frame(index, index, Fraction(1) / Fraction(self._rate_hz), self._image, self.id, time.monotonic())

    def stop(self) -> None:
        """End the frames."""
        self._count = 0

    def close(self) -> None:
        """Nothing is open."""


class StandIn:
    """A detector that takes `compute_s` per image in each of two slots and finds boxes that drift."""

    name, device, parallel, selects, to_device = "stand-in", "cpu", 2, False, None
    precision: Precision = "fp32"

    def __init__(self, compute_s: float) -> None:
        self.card = ModelCard(class_names=("person",), stride=32)
        self.compute_s = compute_s
        places = np.random.default_rng(0).uniform(0, 500, (BOXES, 2))
        rows = [places, places + np.array([40, 90]), np.full((BOXES, 1), 0.9), np.zeros((BOXES, 1))]
        self._rows = np.hstack(rows).astype(np.float32)

    def __call__(self, images: npt.NDArray[Any]) -> Float32Array:
        """Return the same boxes for every image."""
        return np.stack([self._rows] * len(images))

    def stage(self, frame: Frame, letterbox: Letterbox) -> int:
        """Return the index of the frame."""
        return frame.index

    def rows(self, number: int) -> Float32Array:
        """Return the boxes of frame `number`."""
        moved = self._rows.copy()
        moved[:, :4] += np.float32(0.3 * (number % 100))
        return moved

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return two slots."""
        return [StandInSlot(self) for _ in range(2)]

    def close(self) -> None:
        """Nothing is open."""


class StandInSlot:
    """A slot that waits on a thread for the time of the detector, or is done at once if that is 0."""

    def __init__(self, session: StandIn) -> None:
        self._session = session
        self._requests: Sequence[Request] = ()

    def submit(self, requests: Sequence[Request], done: Callable[[], None]) -> None:
        """Call `done` after the time of the detector."""
        self._requests = list(requests)
        if self._session.compute_s:
            threading.Timer(self._session.compute_s, done).start()
        else:
            done()

    def collect(self) -> list[Float32Array]:
        """Return the boxes of each frame."""
        return [self._session.rows(request.staged) for request in self._requests]

    def close(self) -> None:
        """Nothing is open."""


class Ages(NamedTuple):
    """The ages of a camera's results in ms, and the number of dropped frames and of all frames."""

    p50_ms: float
    p99_ms: float
    dropped: int
    frames: int


def camera_ages(rate_hz: float, compute_s: float) -> Ages:
    """Return the ages of a camera's results with a stand-in as the detector."""
    with Pipeline.from_session(StandIn(compute_s)) as pipeline, pipeline.run(Camera(rate_hz)) as run:
        results = sum(1 for _ in run)
    return _ages(run.stats.age_s, run.stats.dropped, results)


def _ages(age_s: Callable[[float], float], dropped: int, results: int) -> Ages:
    return Ages(1e3 * age_s(50), 1e3 * age_s(99), dropped, results + dropped)


def visitors_ages() -> list[Ages]:
    """Return the ages of results of three cameras of 10 Hz with three picture sizes over the embedded model."""
    sizes = [(480, 640), (360, 640), (640, 480)]
    with Pipeline(device="cpu") as pipeline:
        for hw in sizes:  # the first frame of a size compiles the model: not timed
            for _ in pipeline.run(Camera(10, hw, seconds=0.5)):
                pass
        runs = pipeline.runs(*[Camera(10, hw) for hw in sizes])
        for _ in runs:
            pass
        return [_ages(run.stats.age_s, run.stats.dropped, run.stats.results) for run in runs.all]


def many(count: int, video: str, frames: int) -> dict[str, float]:
    """Return total frames/s and CPU ms per frame of `count` runs at once on a detector that takes no time."""
    with Pipeline.from_session(StandIn(0.0)) as pipeline:
        runs = pipeline.runs(*[video] * count, at_once=count, max_frames=frames, decode="software", classes=None)
        since_s, cpu_since_s = time.perf_counter(), time.process_time()
        results = sum(1 for _ in runs)
        wall_s, cpu_s = time.perf_counter() - since_s, time.process_time() - cpu_since_s
    return {"rate_hz": results / wall_s, "cpu_ms": 1e3 * cpu_s / results}


def many_apart(count: int, video: str, frames: int) -> dict[str, float]:
    """Call `many` in a separate process."""
    command = [sys.executable, __file__, video, "--many", str(count), "--frames", str(frames)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, float] = json.loads(output)
    return measured


def main() -> None:
    """Measure and print; with --check, exit with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", help="what many runs decode and track, such as vtest.avi")
    parser.add_argument("--frames", type=int, default=200, help="of the video, in each of the many runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    args = parser.parse_args()
    if args.many:
        print(json.dumps(many(args.many, args.video, args.frames)))
        return
    slow, fast = camera_ages(10, 0.004), camera_ages(25, 0.050)
    visitors = visitors_ages()
    table = Table("camera", "frames", "dropped", "age p50, ms", "p99, ms", box=None)
    for name, ages in (("10 Hz, 4 ms", slow), ("25 Hz, 50 ms in two slots", fast), *zip("ABC", visitors, strict=True)):
        table.add_row(name, str(ages.frames), str(ages.dropped), f"{ages.p50_ms:.1f}", f"{ages.p99_ms:.1f}")
    # The single run is longer than each of the sixteen, so that its start is as small a part of the time as theirs.
    pairs = [
        (many_apart(1, args.video, min(4 * args.frames, 795)), many_apart(MANY, args.video, args.frames))
        for _ in range(args.rounds)
    ]
    rates = statistics.median(all_["rate_hz"] / one["rate_hz"] for one, all_ in pairs)
    costs = statistics.median(all_["cpu_ms"] / one["cpu_ms"] for one, all_ in pairs)
    console = Console(width=110)
    console.print(table)
    for count, runs in ((1, [one for one, _ in pairs]), (MANY, [all_ for _, all_ in pairs])):
        rate, cost = (statistics.median(run[key] for run in runs) for key in ("rate_hz", "cpu_ms"))
        console.print(f"{count} runs: {rate:.0f} frames/s in all, {cost:.2f} CPU ms a frame")
    bars = [
        Bar("10 Hz, 4 ms of compute: p99 of age, ms", slow.p99_ms, "≤", 14),
        Bar("25 Hz, 50 ms in two slots: frames dropped", fast.dropped, "≤", 0),
        Bar("25 Hz, 50 ms in two slots: p99 of age, ms", fast.p99_ms, "<", 65),
        Bar("three picture sizes: frames dropped", sum(ages.dropped for ages in visitors), "≤", 0),
        Bar("16 runs: frames/s in all, of one run's", rates, "≥", 1.0),
        Bar("16 runs: CPU time a frame, of one run's", costs, "≤", 1.2),
    ]
    console.print(bars_table("Runs that share a device", bars))
    if args.check and (sentences := missed(bars)):
        sys.exit("\n".join(sentences))


if __name__ == "__main__":
    main()
