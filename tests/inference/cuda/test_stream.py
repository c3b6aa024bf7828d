"""The detector's stream through device slots, on a device that answers in any order, against the plain call."""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.inference.cuda.session import CudaSession
from streamdet.options import PrecisionChoice
from streamdet.types import Frame, UInt8Array

from .fake_device import FakeRuntime

SIZE = 64


def images(count: int, hw: tuple[int, int] = (48, 100)) -> list[UInt8Array]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*hw, 3), np.uint8) for _ in range(count)]


def frames(pictures: list[UInt8Array]) -> Iterator[Frame]:
    for index, image in enumerate(pictures):
        yield Frame(index, index, Fraction(1, 25), image, "test", 0.0)


def on_fake_device(weights: Path, seed: int, batch: int, **options: Any) -> Detector:
    """Return a detector whose stream goes through device slots."""
    detector = Detector(weights, device="cpu", backend="torch", size=SIZE, **options)
    by: Any = detector.session
    detector.session = CudaSession(FakeRuntime(seed, goes_on=True), by._network, by.card)
    detector.batch = batch
    return detector


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_a_stream_gives_what_single_calls_give(tiny_weights: Path, batch: int) -> None:
    """The letterbox of the device may differ from the host's by one of 255 in a pixel."""
    detector = on_fake_device(tiny_weights, seed=batch, batch=batch, conf=0.0)
    pictures = images(7, hw=(64, 64))
    streamed = list(detector.stream(frames(pictures)))
    assert [frame.index for frame, _ in streamed] == list(range(7))
    for image, (_, found) in zip(pictures, streamed, strict=True):
        alone = detector(image)
        assert_array_equal(found.class_ids, alone.class_ids)
        assert_allclose(found.scores, alone.scores, atol=1e-5)
        assert_allclose(found.boxes, alone.boxes, atol=1e-3)


def test_only_the_classes_asked_for_leave_the_device(tiny_weights: Path) -> None:
    detector = on_fake_device(tiny_weights, seed=0, batch=2, conf=0.0, classes=["dog"])
    found = [detections for _, detections in detector.stream(frames(images(3)))]
    assert all(len(detections) and set(detections.class_ids.tolist()) == {1} for detections in found)


def test_images_of_another_size_get_slots_of_their_own(tiny_weights: Path) -> None:
    detector = on_fake_device(tiny_weights, seed=1, batch=4, conf=0.0)
    pictures = images(3) + images(2, hw=(100, 48)) + images(2)
    streamed = list(detector.stream(frames(pictures)))
    assert [frame.index for frame, _ in streamed] == list(range(7))
    for image, (_, found) in zip(pictures, streamed, strict=True):
        # Random pixels resized on the host and on the device: the best box agrees, not every one of thousands.
        assert_allclose(found.scores[0], detector(image).scores[0], atol=0.01)


def test_a_failure_of_the_source_comes_after_the_frames_ahead_of_it(tiny_weights: Path) -> None:
    def failing() -> Iterator[Frame]:
        yield from frames(images(5))
        raise OSError("the cable is out")

    results = on_fake_device(tiny_weights, seed=2, batch=2).stream(failing())
    assert [next(results)[0].index for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="the cable is out"):
        next(results)


def test_a_batch_of_none_is_refused(tiny_weights: Path) -> None:
    with pytest.raises(InputError, match="batch must be at least 1, got 0"):
        Detector(tiny_weights, device="cpu", batch=0)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # the profiler's own
def test_nothing_waits_for_the_whole_device_while_frames_flow(tiny_weights: Path) -> None:
    detector = Detector(tiny_weights, device="cuda:0", size=SIZE, batch=2)
    found = detector.stream(frames(images(60)))
    for _ in islice(found, 20):  # slots are made
        pass
    with torch.profiler.profile() as profile:
        for _ in islice(found, 20):
            pass
    calls = Counter(event.name for event in profile.events() or [])
    assert calls["cudaEventSynchronize"] > 0
    assert calls["cudaStreamSynchronize"] == 0
    assert calls["cudaDeviceSynchronize"] <= 1, "the profiler itself waits once, at its end"


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "half"])
@pytest.mark.parametrize("batch", [1, 4])
def test_the_gpu_finds_what_the_cpu_finds(data: Path, weights: Path, precision: PrecisionChoice, batch: int) -> None:
    from tests.detect.pictures import NAMES, picture

    gpu = Detector(weights, device="cuda:0", backend="torch", precision=precision, batch=batch)
    cpu = Detector(weights, device="cpu", backend="torch")
    pictures = [picture(data, name) for name in NAMES]
    for image, (_, found) in zip(pictures, gpu.stream(frames(pictures)), strict=True):
        expected = cpu(image)
        assert len(found) == pytest.approx(len(expected), abs=1)
        for box, score in zip(expected.boxes, expected.scores, strict=True):
            if score > 0.3:
                assert np.abs(found.boxes - box).max(axis=1).min() < (4 if precision == "half" else 1)
