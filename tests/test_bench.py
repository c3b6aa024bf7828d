"""What limits a run, from known costs; and that what is measured is what was asked for."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from streamdet import bench
from streamdet.bench import DetectorRate, StageCost, detector_rate, read_frames, run_limit, stage_costs
from streamdet.errors import InputError
from streamdet.types import Detections, Frame


class Counting:
    """Stands for a detector: one box in every frame, and counts the frames."""

    class_names = ("person",)
    session = SimpleNamespace(name="fake", precision="fp32")
    batch = 4

    def __init__(self) -> None:
        self.seen = 0

    def input_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        return image_hw

    def stream(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
        for frame in frames:
            self.seen += 1
            yield frame, Detections(np.array([[8, 8, 40, 90]], np.float32), [0.9], [0])


@pytest.mark.parametrize(
    ("rate_hz", "cpu_ms", "costs", "limit"),
    [
        (50.0, 1.0, {"track": (2.0, 2.0), "write": (10.0, 10.0)}, (50.0, "detect", 1)),
        (500.0, 1.0, {"track": (2.0, 2.0), "write": (10.0, 10.0)}, (100.0, "write", 3)),
        # Threads of its own make a stage faster by the clock, and keep other cores busy.
        (500.0, 1.0, {"track": (5.0, 5.0), "write": (4.0, 8.0)}, (1000 / 7, "the processor", 4)),
        (500.0, 12.0, {"track": (4.0, 4.0), "decode": (0.0, 0.0), "write": (4.0, 4.0)}, (100.0, "the processor", 3)),
        (29.0, 1.0, {}, (29.0, "detect", 0)),
    ],
)
def test_the_slowest_stage_or_all_cores_limit_a_run(
    monkeypatch: pytest.MonkeyPatch,
    rate_hz: float,
    cpu_ms: float,
    costs: dict[str, tuple[float, float]],
    limit: tuple[float, str, int],
) -> None:
    monkeypatch.setattr(bench, "core_count", lambda: 2)
    rate = DetectorRate("fake", "fp32", "384x640", 1, rate_hz, cpu_ms)
    found = run_limit(rate, {name: StageCost(*cost) for name, cost in costs.items()})
    assert found.rate_hz == pytest.approx(limit[0])
    assert (found.bottleneck, found.cameras) == limit[1:]


def test_a_detector_is_measured_for_as_long_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by 10 ms whenever somebody looks, that is with every frame."""
    detector: Any = Counting()
    frames, _, decoding = read_frames(None)
    clock = count(step=0.01)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    rate = detector_rate(detector, frames, seconds=2.0)
    assert decoding == StageCost(0, 0)
    assert (rate.backend, rate.precision, rate.size, rate.batch) == ("fake", "fp32", "720x1280", 4)
    assert detector.seen == pytest.approx(8 + 200, abs=2)
    assert rate.rate_hz == pytest.approx(100, rel=0.02)


def test_every_stage_beside_the_detector_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """By clocks of which that of the processor goes on twice as fast, by 2 s and 4 s from look to look."""
    detector: Any = Counting()
    frames, info, _ = read_frames(None)
    wall_s, cpu_s = count(step=2), count(step=4)
    monkeypatch.setattr(time, "perf_counter", lambda: next(wall_s))
    monkeypatch.setattr(time, "process_time", lambda: next(cpu_s))
    costs = stage_costs(detector, frames[:10], info)
    assert costs == dict.fromkeys(["track", "draw", "write"], StageCost(wall_ms=200, cpu_ms=400))
    assert detector.seen == 10


def test_as_many_frames_are_read_as_asked(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((48, 64, 3), np.uint8))
    frames, info, decoding = read_frames(str(tmp_path), count=1)
    assert [frame.index for frame in frames] == [0]
    assert (info.width, info.height) == (64, 48)
    assert decoding.wall_ms > 0


def test_a_source_without_a_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_frames(str(tmp_path / "none.mp4"))


def test_a_size_that_a_model_cannot_take_is_left_out(
    streamdet: Callable[..., str], tiny_weights: Path, tmp_path: Path
) -> None:
    fixed = tmp_path / "fixed.onnx"
    streamdet("export", tiny_weights, "--imgsz", "64x96", "--out", fixed, code=0)
    printed = streamdet("bench", "--model", fixed, "--imgsz", "64,96", "--seconds", 0.5, code=0)
    for backend in ("openvino", "onnx"):
        assert f"{backend} at 64 is left out: the model was exported for images of 64x96 px" in printed
    assert [line.split()[1] for line in printed.splitlines() if "fp32" in line] == ["openvino", "onnx"]
    assert "the model was exported" in streamdet("bench", "--model", fixed, "--imgsz", 64, "--seconds", 0.5, code=2)
