"""Measurements of this machine: the rate of each backend, the costs of the other stages, the limit of a whole run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.machine import core_count
from streamdet.options import TrackerOptions
from streamdet.pipeline.line import TrackStep
from streamdet.result import Result
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Frame, VideoInfo
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

FRAMES = 120  # frames that are read from the source and measured with, repeatedly if the time is not over
NOISE_HW = (720, 1280)
CAMERA_RATE_HZ = 30
WARM_UP_FRAMES = 8


@dataclass(frozen=True, slots=True)
class DetectorRate:
    """The frames per second that a detector takes from a stream, and the CPU time in ms per frame, of all cores.

    `size` is the model input as height x width in px, `batch` the number of images that are computed at once.
    """

    backend: str
    precision: str
    size: str
    batch: int
    rate_hz: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class StageCost:
    """The time in ms that a stage takes for one frame while nothing else runs: wall time, and CPU time of all cores."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Limit:
    """The frames per second that a whole run can reach, and its bottleneck: the name of a stage, or the processor."""

    rate_hz: float
    bottleneck: str

    @property
    def cameras(self) -> int:
        """The number of cameras of `CAMERA_RATE_HZ` that this is enough for."""
        return int(self.rate_hz / CAMERA_RATE_HZ)


def read_frames(source: str | None, count: int = FRAMES) -> tuple[list[Frame], VideoInfo, StageCost]:
    """Return the first `count` frames of `source`, its properties, and the cost of decoding a frame.

    Without a source they show noise that moves, and the cost is 0 ms. Raises InputError for a source without a frame.
    """
    if source is None:
        info = VideoInfo(NOISE_HW[1], NOISE_HW[0], Fraction(30), None, False)
        return list(_moving_noise(count)), info, StageCost(0.0, 0.0)
    with _Stopwatch() as watch, open_source(source, max_frames=count) as opened:
        frames, info = list(opened), opened.info
    if not frames:
        raise InputError(f"expected a video, but {source} has no frame")
    cost = watch.cost(len(frames))
    # The wall time of a live source is spent waiting for its frames.
    return frames, info, replace(cost, wall_ms=cost.cpu_ms) if info.live else cost


def detector_rate(detector: Detector, frames: Sequence[Frame], seconds: float) -> DetectorRate:
    """Return the rate of `detector` over `frames`, which are repeated for at least `seconds`."""
    results = detector.stream(cycle(frames))
    for _ in islice(results, WARM_UP_FRAMES):
        pass
    start_s, cpu_start_s = time.perf_counter(), time.process_time()
    count = sum(1 for _ in _until(results, start_s + seconds))
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_start_s
    session = detector.session
    height, width = detector.input_hw(frames[0].image.shape[:2])
    size, rate_hz, cpu_ms = f"{height}x{width}", count / wall_s, 1e3 * cpu_s / count
    return DetectorRate(session.name, session.precision, size, detector.batch, rate_hz, cpu_ms)


def stage_costs(detector: Detector, frames: Sequence[Frame], info: VideoInfo) -> dict[str, StageCost]:
    """Return the costs of tracking and drawing what `detector` finds in `frames`, and of encoding them, by stage."""
    found, results = list(detector.stream(frames)), list[Result]()
    step = TrackStep(load_tracker(TrackerOptions.tracker, info.frame_rate), detector.class_names)

    def track() -> None:
        results.extend(step(frame, detections) for frame, detections in found)

    def draw() -> None:
        for result in results:
            result.draw()

    def encode() -> None:
        # Written as from a live source: without sound, and beginning with the first frame.
        with (
            TemporaryDirectory() as folder,
            VideoSink(Path(folder) / "bench.mp4", info=replace(info, live=True), audio_from=None) as sink,
        ):
            for frame in frames:
                sink.write(frame.image, frame.pts, frame.time_base)

    return {name: _cost(work, len(frames)) for name, work in {"track": track, "draw": draw, "write": encode}.items()}


def run_limit(rate: DetectorRate, costs: Mapping[str, StageCost]) -> Limit:
    """Return the limit of a run with a thread for every stage: the rate of the slowest stage, or of all cores busy.

    `costs` are the costs of all stages except the detector, by name.
    """
    rates = {"detect": rate.rate_hz} | {name: 1e3 / cost.wall_ms for name, cost in costs.items() if cost.wall_ms > 0}
    rates["the processor"] = 1e3 * core_count() / (rate.cpu_ms + sum(cost.cpu_ms for cost in costs.values()))
    bottleneck = min(rates, key=lambda name: rates[name])
    return Limit(rates[bottleneck], bottleneck)


class _Stopwatch:
    """Measures wall and CPU time of a `with` block."""

    def __enter__(self) -> Self:
        self._start_s = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_s = time.perf_counter(), time.process_time()

    def cost(self, frames: int) -> StageCost:
        """Return the times of the block divided by its number of `frames`."""
        wall_ms, cpu_ms = (1e3 * (end - start) / frames for start, end in zip(self._start_s, self._end_s, strict=True))
        return StageCost(wall_ms, cpu_ms)


def _cost(work: Callable[[], None], frames: int) -> StageCost:
    with _Stopwatch() as watch:
        work()
    return watch.cost(frames)


def _until(items: Iterable[object], deadline_s: float) -> Iterator[object]:
    for item in items:
        yield item
        if time.perf_counter() >= deadline_s:
            return


def _moving_noise(count: int) -> Iterator[Frame]:
    """Yield `count` frames of noise that moves by 4 px a frame."""
    noise = np.random.default_rng(0).integers(0, 256, (*NOISE_HW, 3), np.uint8)
    for index in range(count):
        image = np.ascontiguousarray(np.roll(noise, 4 * index, axis=1))
        yield Frame(index, index, Fraction(1, 30), image, "noise", time.monotonic())
