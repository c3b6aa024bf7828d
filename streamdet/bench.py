"""What this machine does: how fast each backend detects, what the other stages cost, and what limits the whole."""

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

FRAMES = 120  # of the source that are measured on, over and over if there are fewer
SCENE_HW = (720, 1280)
CAMERA_RATE_HZ = 30
WARM_UP_FRAMES = 8


@dataclass(frozen=True, slots=True)
class DetectorRate:
    """How many frames per second a detector takes from a stream, and the CPU time in ms that one takes, all cores.

    `size` is the model input, height x width in px; `batch` how many images are computed at once.
    """

    backend: str
    precision: str
    size: str
    batch: int
    rate_hz: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage that runs alone takes for one frame, in ms: by the clock, and as CPU time of all cores together."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Limit:
    """What a whole run is limited to, in frames per second, and by what: a stage's name, or the processor."""

    rate_hz: float
    bottleneck: str

    @property
    def cameras(self) -> int:
        """How many cameras of `CAMERA_RATE_HZ` that carries."""
        return int(self.rate_hz / CAMERA_RATE_HZ)


def read_frames(source: str | None, count: int = FRAMES) -> tuple[list[Frame], VideoInfo, StageCost]:
    """Return the first `count` frames of `source`, what it says about itself, and what it takes to decode one.

    Without a source they show noise that moves, and decoding is not known: 0 ms. Raises InputError for a source without
    a frame.
    """
    if source is None:
        info = VideoInfo(SCENE_HW[1], SCENE_HW[0], Fraction(30), None, False)
        return list(_scene(count)), info, StageCost(0.0, 0.0)
    with _Stopwatch() as watch, open_source(source, max_frames=count) as opened:
        frames, info = list(opened), opened.info
    if not frames:
        raise InputError(f"expected a video, but {source} has no frame")
    cost = watch.cost(len(frames))
    # What a live source takes by the clock is waiting for it.
    return frames, info, replace(cost, wall_ms=cost.cpu_ms) if info.live else cost


def detector_rate(detector: Detector, frames: Sequence[Frame], seconds: float) -> DetectorRate:
    """Return how fast `detector` goes through `frames`, measured for at least so many `seconds`."""
    results = detector.stream(cycle(frames))
    for _ in islice(results, WARM_UP_FRAMES):
        pass
    since, cpu_since = time.perf_counter(), time.process_time()
    count = sum(1 for _ in _until(results, since + seconds))
    elapsed_s, cpu_s = time.perf_counter() - since, time.process_time() - cpu_since
    session = detector.session
    height, width = detector.input_hw(frames[0].image.shape[:2])
    size, rate_hz, cpu_ms = f"{height}x{width}", count / elapsed_s, 1e3 * cpu_s / count
    return DetectorRate(session.name, session.precision, size, detector.batch, rate_hz, cpu_ms)


def stage_costs(detector: Detector, frames: Sequence[Frame], info: VideoInfo) -> dict[str, StageCost]:
    """Return what tracking, drawing and encoding take, each alone, for what `detector` finds in `frames`."""
    found, results = list(detector.stream(frames)), list[Result]()
    step = TrackStep(load_tracker(TrackerOptions.tracker, info.frame_rate), detector.class_names)

    def track() -> None:
        results.extend(step(frame, detections) for frame, detections in found)

    def draw() -> None:
        for result in results:
            result.draw()

    def encode() -> None:
        # A live source has no sound, and what a name promises about length does not matter.
        with (
            TemporaryDirectory() as folder,
            VideoSink(Path(folder) / "bench.mp4", info=replace(info, live=True), audio_from=None) as sink,
        ):
            for frame in frames:
                sink.write(frame.image, frame.pts, frame.time_base)

    return {name: _cost(work, len(frames)) for name, work in {"track": track, "draw": draw, "write": encode}.items()}


def limit_of(rate: DetectorRate, costs: Mapping[str, StageCost]) -> Limit:
    """Return the limit of a run in which every stage has a thread: the slowest stage, or all cores busy.

    `costs` are those of the stages beside the detector.
    """
    rates = {"detect": rate.rate_hz} | {name: 1e3 / cost.wall_ms for name, cost in costs.items() if cost.wall_ms > 0}
    rates["the processor"] = 1e3 * core_count() / (rate.cpu_ms + sum(cost.cpu_ms for cost in costs.values()))
    bottleneck = min(rates, key=lambda name: rates[name])
    return Limit(rates[bottleneck], bottleneck)


class _Stopwatch:
    """Measures the block that it surrounds."""

    def __enter__(self) -> Self:
        self._since_s = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self._until_s = time.perf_counter(), time.process_time()

    def cost(self, frames: int) -> StageCost:
        """Return what the block took for each of its `frames`."""
        wall_ms, cpu_ms = (1e3 * (b - a) / frames for a, b in zip(self._since_s, self._until_s, strict=True))
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


def _scene(count: int) -> Iterator[Frame]:
    """Yield `count` frames of noise that moves by 4 px a frame."""
    noise = np.random.default_rng(0).integers(0, 256, (*SCENE_HW, 3), np.uint8)
    for index in range(count):
        image = np.ascontiguousarray(np.roll(noise, 4 * index, axis=1))
        yield Frame(index, index, Fraction(1, 30), image, "noise", time.monotonic())
