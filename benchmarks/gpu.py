"""Measures the detector on a GPU: agreement with the CPU, rate against the bare forward, timeline, and cameras.

    python benchmarks/gpu.py MODEL.pt [--out FOLDER]

Everything is measured on frames of 1920x1080 in memory that show a rendered street, in fp16, with an input of 384x640.
A missed bar ends the program with exit code 1. The trace in FOLDER opens in any viewer of Chrome traces.

On a machine with PyTorch for CUDA but without a network, install from a folder of wheels that was filled elsewhere:

    pip download -r benchmarks/gpu-requirements.txt -d wheels --only-binary=:all: --python-version 3.12 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64
    pip install --no-index --find-links wheels -r benchmarks/gpu-requirements.txt && python benchmarks/gpu.py MODEL.pt
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count, islice
from pathlib import Path
from typing import Any

# The checkout comes before this file's folder, whose trackers.py would hide the package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, bars_table, missed
from streamdet.detect.detector import Detector
from streamdet.inference.cuda.runtime import CudaRuntime
from streamdet.options import PrecisionChoice
from streamdet.scheduler import shared
from streamdet.scheduler.lane import QueuedFrame
from streamdet.scheduler.lane_options import LaneOptions
from streamdet.scheduler.scheduler import Scheduler
from streamdet.types import Detections, Frame, UInt8Array
from streamdet.video.source import open_source

FRAME_HW = (1080, 1920)
SCENE = "scene://street?seed=7&size=1920x1080&crowd=many&fps=3&seconds=8"
LOWEST, SURE = 0.05, 0.1  # lowest scores of a detection, and of one that both must find
ALIKE_PX = 16.0  # largest distance between corners of the same object
BATCHES = (1, 4, 16)
SECONDS, CAMERA_SECONDS = 10.0, 5.0
CAMERA_RATE_HZ = 30
DEVICE = "cuda:0"
OF_BARE_RATE, UNDER_COMPUTE, AGE_LIMIT_S = 0.95, 0.9, 0.1
APART_PX, SCORES_APART = {"fp32": 1.0, "fp16": 4.0}, {"fp32": 0.01, "fp16": 0.05}
# While frames are processed the host waits only for events; the profiler waits for the device once, at its end.
MOST_WAITS = {"cudaDeviceSynchronize": 1, "cudaStreamSynchronize": 0}
console = Console(highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit(f"expected a CUDA device, but torch {torch.__version__} sees none")
    args.out.mkdir(parents=True, exist_ok=True)
    console.print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    images = pictures()
    bars = [
        *agreement(args.model, images),
        *rates(args.model, images),
        *timeline(args.model, images, args.out / "timeline.json"),
        *cameras(args.model, images),
    ]
    console.print(bars_table("Bars", bars))
    sys.exit("\n".join(missed(bars)) or None)


def pictures() -> list[UInt8Array]:
    """Return 24 pictures of a street, a third of a second apart."""
    with open_source(SCENE) as source:
        return [frame.image for frame in source]


def frames(images: list[UInt8Array], number: int | None = None) -> Iterator[Frame]:
    """Yield frames that show the images in a cycle, without end or up to `number`."""
    for index in islice(count(), number):
        image = images[index % len(images)]
        yield Frame(index, index, Fraction(1, CAMERA_RATE_HZ), image, "memory", time.monotonic())


def agreement(model: Path, images: list[UInt8Array]) -> Iterator[Bar]:
    """Print the differences between the detections of GPU and CPU, and how many only one makes; yield the bars."""
    cpu = Detector(model, device="cpu", backend="torch", conf=LOWEST)
    table = Table(
        "precision", "detections", "by one only", "most px apart", "scores apart", title="GPU beside CPU, fp32"
    )
    precisions: tuple[PrecisionChoice, ...] = ("fp32", "half")
    for choice in precisions:
        gpu = Detector(model, device=DEVICE, backend="torch", precision=choice, conf=LOWEST, batch=4)
        precision, rows = gpu.session.precision, []
        for frame, found in gpu.stream(frames(images, 8)):
            expected = cpu(frame.image)
            rows += [differences(expected, found), differences(found, expected)]
        number, alone, px, score = np.array(rows).T
        if not number.sum():
            raise SystemExit("expected a model that finds people or vehicles in a street, but it finds nothing")
        cells = f"{number.sum():.0f}", f"{alone.sum():.0f}", f"{px.max():.2f}", f"{score.max():.4f}"
        table.add_row(precision, *cells)
        yield Bar(f"{precision}: detections that only the GPU or only the CPU makes", alone.sum(), "≤", 0)
        yield Bar(f"{precision}: px from the CPU's", px.max(), "≤", APART_PX[precision])
        yield Bar(f"{precision}: scores from the CPU's", score.max(), "≤", SCORES_APART[precision])
    console.print(table)


def differences(some: Detections, others: Detections) -> tuple[int, int, float, float]:
    """Return the numbers of sure ones in `some` and of those missing in `others`; the largest px and score apart."""
    sure = some.scores >= SURE
    apart_px = np.abs(some.boxes[sure, None] - others.boxes[None]).max(axis=2)
    apart_px[some.class_ids[sure, None] != others.class_ids[None]] = np.inf
    nearest_px = apart_px.min(axis=1, initial=np.inf)
    alike = nearest_px <= ALIKE_PX
    partners = apart_px[alike].argmin(axis=1) if alike.any() else np.empty(0, np.int64)
    scores = np.abs(some.scores[sure][alike] - others.scores[partners])
    return int(sure.sum()), int((~alike).sum()), nearest_px[alike].max(initial=0.0), scores.max(initial=0.0)


def rates(model: Path, images: list[UInt8Array]) -> Iterator[Bar]:
    """Print frames per second from frame to detections and of the network's bare graph; yield the bars."""
    table = Table(
        "batch", "bare forward", "end to end", "ratio", title="Frames per second, fp16, 384x640 from 1920x1080"
    )
    for batch in BATCHES:
        detector = Detector(model, device=DEVICE, precision="half", batch=batch)
        bare, whole = bare_rate(detector, batch), stream_rate(detector, images)
        table.add_row(str(batch), f"{bare:.0f}", f"{whole:.0f}", f"{whole / bare:.3f}")
        yield Bar(f"batch {batch}: end to end, of the bare forward's rate", whole / bare, "≥", OF_BARE_RATE)
    console.print(table)


def bare_rate(detector: Detector, batch: int) -> float:
    """Return the images per second of the network alone, as a graph with its input in place."""
    session: Any = detector.session
    runtime = CudaRuntime(torch.device(DEVICE))
    stream = runtime.stream()
    pixels = torch.zeros((batch, *detector.input_hw(FRAME_HW), 3), dtype=torch.uint8, device=DEVICE)

    @torch.inference_mode()
    def forward() -> None:
        session._network(pixels)

    (replay,), done = runtime.captured(stream, [forward]), runtime.event()
    return batch * repetitions_per_s(lambda: _replay(runtime, stream, replay), lambda: _finish(runtime, stream, done))


def _replay(runtime: CudaRuntime, stream: torch.cuda.Stream, replay: Callable[[], None]) -> None:
    runtime.run(stream, replay)


def _finish(runtime: CudaRuntime, stream: torch.cuda.Stream, done: torch.cuda.Event) -> None:
    runtime.record(done, stream)
    runtime.wait_for(done)


def repetitions_per_s(work: Callable[[], None], finish: Callable[[], None], group: int = 50) -> float:
    """Return the best rate of `work` among groups of calls, over a quarter of `SECONDS`."""
    for _ in range(group):
        work()
    finish()
    best, ends = 0.0, time.perf_counter() + SECONDS / 4
    while time.perf_counter() < ends:
        since = time.perf_counter()
        for _ in range(group):
            work()
        finish()
        best = max(best, group / (time.perf_counter() - since))
    return best


def stream_rate(detector: Detector, images: list[UInt8Array]) -> float:
    """Return the frames per second of the detector's stream, with frames in host memory."""
    results = detector.stream(frames(images))
    for _ in islice(results, 200):
        pass
    number, since = 0, time.perf_counter()
    for number, _ in enumerate(results, 1):  # noqa: B007 - counts
        if time.perf_counter() - since > SECONDS:
            break
    return number / (time.perf_counter() - since)


def timeline(model: Path, images: list[UInt8Array], path: Path) -> Iterator[Bar]:
    """Trace some batches; print the share of copies that overlaps compute, and the host's waits; yield the bars."""
    detector = Detector(model, device=DEVICE, precision="half", batch=4)
    results = detector.stream(frames(images))
    for _ in islice(results, 100):
        pass
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in islice(results, 200):
            pass
    profile.export_chrome_trace(str(path))
    spans: dict[str, list[tuple[float, float]]] = {"copy": [], "compute": []}
    for event in profile.events() or []:
        if str(event.device_type).endswith("CUDA"):
            span = event.time_range.start, event.time_range.end
            if "Memcpy HtoD" in event.name:
                spans["copy"].append(span)
            elif "Memcpy" not in event.name:
                spans["compute"].append(span)
    names = [event.name for event in profile.events() or []]
    waits = {name: names.count(name) for name in (*MOST_WAITS, "cudaEventSynchronize")}
    share = covered(spans["copy"], spans["compute"])
    console.print(f"copies to the device under compute: {share:.0%} of their time")
    console.print(f"waits of the host: {waits}; timeline in {path}")
    yield Bar("share of the copies' time that lies under compute", share, "≥", UNDER_COMPUTE)
    for name, most in MOST_WAITS.items():
        yield Bar(f"calls of {name}", waits[name], "≤", most)


def covered(spans: list[tuple[float, float]], others: list[tuple[float, float]]) -> float:
    """Return the share of `spans` that lies inside `others`, which may overlap each other."""
    merged: list[list[float]] = []
    for begin, end in sorted(others):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    inside = sum(max(0.0, min(end, b) - max(begin, a)) for begin, end in spans for a, b in merged)
    return inside / max(sum(end - begin for begin, end in spans), 1e-9)


def cameras(model: Path, images: list[UInt8Array]) -> Iterator[Bar]:
    """Print ages for rising numbers of cameras until p99 passes the limit or a frame is dropped; yield the bar."""
    table = Table("cameras", "frames/s", "dropped", "age p50 ms", "p99 ms", title="Simulated 1080p30 streams, batch 16")
    detector, number, carried = Detector(model, device=DEVICE, precision="half", batch=16), 4, 0
    while number <= 256:
        ages_s, dropped = watched(detector, images, number)
        p50, p99 = np.percentile(ages_s, [50, 99])
        table.add_row(
            str(number), f"{len(ages_s) / CAMERA_SECONDS:.0f}", str(dropped), f"{1e3 * p50:.1f}", f"{1e3 * p99:.1f}"
        )
        if p99 > AGE_LIMIT_S or dropped:
            break
        carried, number = number, 2 * number
    console.print(table)
    yield Bar(f"1080p{CAMERA_RATE_HZ} cameras whose detections are less than {AGE_LIMIT_S} s old", carried, "≥", 4)


class Camera:
    """A simulated camera that sends a frame to its lane every 33 ms and records the age of each when it is detected."""

    def __init__(self, scheduler: Scheduler, detector: Detector, images: list[UInt8Array]) -> None:
        self.ages_s: list[float] = []
        self._images, self._ended = images, threading.Event()
        self.lane = scheduler.lane(detector, self, LaneOptions(live=True, batch=detector.batch, depth=1))
        self.lane.put(next(frames(images)))  # prepares the slots

    def put(self, queued: QueuedFrame) -> None:
        """Record the age of a frame."""
        self.ages_s.append(time.monotonic() - queued.frame.received_at)
        self.lane.release()

    def end(self, error: BaseException | None = None) -> None:
        """Record the end."""
        self._ended.set()

    def send(self, begin_s: float) -> None:
        """Send all frames, and wait for the detections of the last one."""
        for index in range(int(CAMERA_SECONDS * CAMERA_RATE_HZ)):
            sent_at = begin_s + index / CAMERA_RATE_HZ
            time.sleep(max(0.0, sent_at - time.monotonic()))
            image = self._images[index % len(self._images)]
            self.lane.put(Frame(index, index, Fraction(1, CAMERA_RATE_HZ), image, "camera", sent_at))
        self.lane.end()
        self._ended.wait()


def watched(detector: Detector, images: list[UInt8Array], number: int) -> tuple[list[float], int]:
    """Return the ages in s of the detections of `number` cameras, and the number of dropped frames."""
    scheduler = shared.acquire(DEVICE)
    cameras = [Camera(scheduler, detector, images) for _ in range(number)]
    begin_s = time.monotonic() + 0.1
    # The cameras send at different moments.
    offsets_s = [place / (number * CAMERA_RATE_HZ) for place in range(number)]
    threads = [
        threading.Thread(target=camera.send, args=(begin_s + offset_s,))
        for camera, offset_s in zip(cameras, offsets_s, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.release(DEVICE, time.monotonic() + 5)
    return [age_s for camera in cameras for age_s in camera.ages_s[1:]], sum(each.lane.dropped for each in cameras)


if __name__ == "__main__":
    main()
