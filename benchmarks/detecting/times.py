"""Time of a detector's call compared with its bare runtime, CPU time around the network, and rate of a stream."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.detecting.bare import bare_forward
from benchmarks.detecting.contenders import Contender
from streamdet.bench import detector_rate
from streamdet.boxes import Selection
from streamdet.detect.detector import Detector
from streamdet.detect.tasks import DetectTask
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.options import DetectOptions
from streamdet.types import Frame, UInt8Array

WARM_UP_CALLS = 3
PAIRS = 40
STREAM_S = 6.0


@dataclass(frozen=True, slots=True)
class Times:
    """Times of a contender.

    - `bare_ms`, `call_ms`, `ratios`: medians of calls of the bare runtime and of the detector; the ratio of each pair.
    - `rate_hz`, `cpu_ms`: frames/s and CPU time per frame of a stream.
    - `around_ms`: CPU time per frame before and after the network, for letterboxing and selection.
    """

    bare_ms: float
    call_ms: float
    ratios: Sequence[float]
    rate_hz: float
    cpu_ms: float
    around_ms: float

    @property
    def ratio(self) -> float:
        """The time of a call of the detector over that of its bare runtime, in the median."""
        return statistics.median(self.ratios)

    @property
    def share(self) -> float:
        """The share of a frame's CPU time that is not the network's, in percent."""
        return 100 * self.around_ms / self.cpu_ms


def measured(contender: Contender, frames: Sequence[Frame], size: int) -> Times:
    """Measure on `frames`; the pairs of calls use the middle one."""
    detector = contender.detector(size, DetectOptions.conf)
    image = frames[len(frames) // 2].image
    letterbox = _letterbox(detector, image)
    canvas = letterboxed(image, letterbox)
    pairs = _alternating(bare_forward(contender, canvas[None]), lambda: detector(image))
    rate = detector_rate(detector, frames, STREAM_S)
    bare_ms, call_ms = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratios = [call / bare for bare, call in pairs]
    return Times(bare_ms, call_ms, ratios, rate.rate_hz, rate.cpu_ms, _around_ms(detector, frames))


def times_table(measurements: dict[Contender, Times]) -> Table:
    """Return a row for each contender."""
    table = Table("", title="Time: a call beside the bare runtime's, and a stream", box=SIMPLE_HEAD)
    for heading in ("bare ms", "call ms", "call / bare", "stream frames/s", "CPU ms/frame", "around it", "share"):
        table.add_column(heading, justify="right")
    for contender, times in measurements.items():
        # Quartiles, since the extremes are due to other work of the machine.
        low, _, high = statistics.quantiles(times.ratios, n=4)
        ratio = f"{times.ratio:.3f} ({low:.3f}-{high:.3f})"
        stream = f"{times.rate_hz:.1f}", f"{times.cpu_ms:.1f}", f"{times.around_ms:.2f}", f"{times.share:.1f} %"
        table.add_row(contender.name, f"{times.bare_ms:.1f}", f"{times.call_ms:.1f}", ratio, *stream)
    return table


def times_bars(contender: Contender, times: Times) -> list[Bar]:
    """Return the bars for the time that a detector adds to the bare runtime."""
    return [
        Bar(f"{contender.name}: time of a call over the bare runtime's", times.ratio, "≤", 1.1),
        Bar(f"{contender.name}: pre- and postprocessing, % of the CPU time", times.share, "<", 5),
    ]


def _alternating(bare: Callable[[], object], call: Callable[[], object]) -> list[tuple[float, float]]:
    """Return the times in ms of `PAIRS` alternating calls of both."""
    for _ in range(WARM_UP_CALLS):
        bare()
        call()
    return [(_ms(bare), _ms(call)) for _ in range(PAIRS)]


def _ms(work: Callable[[], object]) -> float:
    since = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - since)


def _around_ms(detector: Detector, frames: Sequence[Frame]) -> float:
    """Return the CPU ms per frame of letterboxing and selection; the network is computed in between, as in a run."""
    task, select, spent_s = DetectTask(), Selection(DetectOptions.conf), 0.0
    for frame in frames:
        since = time.thread_time()
        letterbox = _letterbox(detector, frame.image)
        canvas = letterboxed(frame.image, letterbox)
        spent_s += time.thread_time() - since
        (rows,) = detector.session(canvas[None])
        since = time.thread_time()
        task.detections(task.kept(rows, select), letterbox, frame.image.shape[:2])
        spent_s += time.thread_time() - since
    return 1e3 * spent_s / len(frames)


def _letterbox(detector: Detector, image: UInt8Array) -> Letterbox:
    image_hw = image.shape[:2]
    return Letterbox.fit(image_hw, detector.input_hw(image_hw), detector.session.card.stride)
