"""What this machine does: how fast each backend detects, what the other stages cost, and what limits the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from streamdet.annotate import draw_tracks
from streamdet.config import TRACKER
from streamdet.cores import core_count
from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Frame, Tracks, VideoInfo
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
class Limit:
    """What a whole run is limited to, in frames per second, and by what: a stage's name, or the processor."""

    rate_hz: float
    bottleneck: str

    @property
    def cameras(self) -> int:
        """How many cameras of `CAMERA_RATE_HZ` that carries."""
        return int(self.rate_hz / CAMERA_RATE_HZ)


def read_frames(source: str | None) -> tuple[list[Frame], VideoInfo, float]:
    """Return the first frames of `source`, what it says about itself, and the CPU time in ms to decode one.

    Without a source they show noise that moves, and decoding is not known: 0 ms. Raises InputError for a source without
    a frame.
    """
    if source is None:
        return list(islice(_scene(), FRAMES)), VideoInfo(SCENE_HW[1], SCENE_HW[0], Fraction(30), None, False), 0.0
    since = time.process_time()
    with open_source(source, max_frames=FRAMES) as opened:
        frames = list(opened)
        if not frames:
            raise InputError(f"expected a video, but {source} has no frame")
        return frames, opened.info, 1e3 * (time.process_time() - since) / len(frames)


def detector_rate(detector: Detector, frames: Sequence[Frame], seconds: float) -> DetectorRate:
    """Return how fast `detector` goes through `frames`, measured for at least so many `seconds`."""
    results = detector.stream(cycle(frames))
    for _ in islice(results, WARM_UP_FRAMES):
        pass
    since, cpu_since = time.perf_counter(), time.process_time()
    count = sum(1 for _ in _until(results, since + seconds))
    elapsed_s, cpu_s = time.perf_counter() - since, time.process_time() - cpu_since
    backend = detector.backend
    height, width = detector.input_hw(frames[0].image.shape[:2])
    size, rate_hz, cpu_ms = f"{height}x{width}", count / elapsed_s, 1e3 * cpu_s / count
    return DetectorRate(backend.name, backend.precision, size, detector.batch, rate_hz, cpu_ms)


def stage_costs(detector: Detector, frames: Sequence[Frame], info: VideoInfo) -> dict[str, float]:
    """Return the CPU time in ms per frame of tracking, drawing and encoding what `detector` finds in `frames`."""
    found = [detections for _, detections in detector.stream(frames)]
    tracker, tracks = load_tracker(TRACKER, info.frame_rate), list[Tracks]()
    with TemporaryDirectory() as folder:

        def encode() -> None:
            # A live source has no sound, and what a name promises about length does not matter.
            with VideoSink(Path(folder) / "bench.mp4", info=replace(info, live=True), audio_from=None) as sink:
                for frame in frames:
                    sink.write(frame.image, frame.pts, frame.time_base)

        def track() -> None:
            tracks.extend(tracker.update(frame, detections) for frame, detections in zip(frames, found, strict=True))

        def draw() -> None:
            for frame, shown in zip(frames, tracks, strict=True):
                draw_tracks(frame.image, shown, detector.class_names)

        stages = {"track": track, "draw": draw, "write": encode}
        return {name: _cpu_ms(work) / len(frames) for name, work in stages.items()}


def limit_of(rate: DetectorRate, costs: dict[str, float]) -> Limit:
    """Return the limit of a run in which every stage has a thread: the slowest stage, or all cores busy.

    `costs` are CPU ms per frame of the stages beside the detector.
    """
    cores = core_count()
    rates = {"detect": rate.rate_hz} | {name: 1e3 / cost for name, cost in costs.items() if cost > 0}
    rates["the processor"] = 1e3 * cores / (rate.cpu_ms + sum(costs.values()))
    bottleneck = min(rates, key=lambda name: rates[name])
    return Limit(rates[bottleneck], bottleneck)


def _cpu_ms(work: Callable[[], None]) -> float:
    """Return the CPU time in ms that `work` takes."""
    since = time.process_time()
    work()
    return 1e3 * (time.process_time() - since)


def _until(items: Iterable[object], deadline_s: float) -> Iterator[object]:
    for item in items:
        yield item
        if time.perf_counter() >= deadline_s:
            return


def _scene() -> Iterator[Frame]:
    """Yield noise that moves by 4 px a frame."""
    noise = np.random.default_rng(0).integers(0, 256, (*SCENE_HW, 3), np.uint8)
    for index in range(FRAMES):
        image = np.ascontiguousarray(np.roll(noise, 4 * index, axis=1))
        yield Frame(index, index, Fraction(1, 30), image, "noise", time.monotonic())
