"""Images of several sizes in several threads at once, on one session."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from streamdet.detect.detector import Detector
from streamdet.inference.load import load_session
from streamdet.inference.session import Session
from streamdet.types import Detections, Float32Array, Frame, UInt8Array

SIZES = [(64, 96), (96, 64), (96, 96), (32, 96)]
ROUNDS = 3


def image(hw: tuple[int, int]) -> UInt8Array:
    return np.random.default_rng(0).integers(0, 256, (*hw, 3), np.uint8)


def called_with(session: Session, hw: tuple[int, int]) -> Float32Array:
    found: Float32Array = session(image(hw)[None])
    return found


def at_once(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    """Return what `work` makes of each of the `items`, in threads that begin together."""
    together = threading.Barrier(len(items))

    def begin(item: Any) -> Any:
        together.wait(60)
        return work(item)

    with ThreadPoolExecutor(len(items)) as threads:
        return list(threads.map(begin, items))


@pytest.mark.parametrize("name", ["torch", "onnx", "openvino"])
def test_four_sizes_in_four_threads(tiny_weights: Path, name: str) -> None:
    """Each gives what it gives alone, also while the others are compiled for the first time."""
    options: dict[str, Any] = {"device": "cpu", "backend": name, "size": 96, "conf": 0.0, "max_det": 20}

    def streamed(detector: Detector, hw: tuple[int, int]) -> Detections:
        frames = (Frame(i, i, Fraction(1, 25), image(hw), "test", 0.0) for i in range(4))
        found = [detections for _, detections in detector.stream(frames)]
        assert len(found) == 4
        return found[-1]

    expected = [streamed(Detector(tiny_weights, **options), hw) for hw in SIZES]
    for _ in range(ROUNDS):
        detector = Detector(tiny_weights, **options)
        found = at_once(partial(streamed, detector), SIZES)
        for ours, alone in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours.boxes, alone.boxes)
            np.testing.assert_array_equal(ours.scores, alone.scores)


@pytest.mark.parametrize("name", ["torch", "onnx", "openvino"])
def test_calls_of_four_sizes_in_four_threads(tiny_weights: Path, name: str) -> None:
    session = load_session(tiny_weights, device="cpu", backend=name)
    expected = [called_with(session, hw) for hw in SIZES]
    for _ in range(ROUNDS):
        called = partial(called_with, load_session(tiny_weights, device="cpu", backend=name))
        for ours, alone in zip(at_once(called, SIZES), expected, strict=True):
            np.testing.assert_array_equal(ours, alone)


@pytest.mark.parametrize("name", ["torch", "onnx", "openvino"])
def test_calls_of_one_size_in_four_threads(tiny_weights: Path, name: str) -> None:
    session = load_session(tiny_weights, device="cpu", backend=name)
    expected = called_with(session, SIZES[0])
    for found in at_once(lambda hw: [called_with(session, hw) for _ in range(5)], [SIZES[0]] * 4):
        for rows in found:
            np.testing.assert_array_equal(rows, expected)


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return the shapes that OpenVINO has compiled a model for since."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shapes: list[list[int]] = []
    compile_model = openvino.Core.compile_model

    def counted(core: Any, model: Any, *arguments: Any) -> Any:
        shapes.append(list(model.input().shape))
        return compile_model(core, model, *arguments)

    monkeypatch.setattr(openvino.Core, "compile_model", counted)
    return shapes


def test_a_size_that_four_threads_ask_for_at_once_is_compiled_once(
    tiny_weights: Path, compiled: list[list[int]]
) -> None:
    session = load_session(tiny_weights, device="cpu", backend="openvino")
    asked = [*[SIZES[0]] * 4, *[SIZES[1]] * 4]
    for slots in at_once(lambda hw: session.new_slots(hw, 1), asked):
        for slot in slots:
            slot.close()
    assert sorted(compiled) == [[1, 64, 96, 3], [1, 96, 64, 3]]


def test_a_closed_session_lets_go_of_what_was_compiled(
    tiny_weights: Path, compiled: list[list[int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = load_session(tiny_weights, device="cpu", backend="openvino")
    for number in (1, 1, 2):
        if number == 2:
            session.close()
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
        called_with(session, SIZES[0])
        assert len(compiled) == number


def test_a_size_that_is_ready_does_not_wait_for_one_that_is_compiled(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = load_session(tiny_weights, device="cpu", backend="openvino")
    ready = session.new_slots(SIZES[0], 1)
    asked, answer, compile_model = threading.Event(), threading.Event(), openvino.Core.compile_model

    def late(*arguments: Any) -> Any:
        asked.set()
        assert answer.wait(60)
        return compile_model(*arguments)

    monkeypatch.setattr(openvino.Core, "compile_model", late)
    with ThreadPoolExecutor(2) as threads:
        others = threads.submit(session.new_slots, SIZES[1], 1)
        assert asked.wait(60)
        more = threads.submit(session.new_slots, SIZES[0], 1).result(60)
        assert not others.done()
        answer.set()
        for slot in [*ready, *more, *others.result(60)]:
            slot.close()
