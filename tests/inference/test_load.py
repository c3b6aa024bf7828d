"""Every backend computes the same rows, whatever the batch; what a backend cannot do is one sentence."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamdet.detect.detector import Detector
from streamdet.errors import InputError, MissingExtraError
from streamdet.inference import load
from streamdet.inference.load import load_session
from streamdet.inference.session import Session
from streamdet.types import Detections, Float32Array, UInt8Array
from tests.detect.pictures import NAMES, picture, to_frame

OTHERS = ["onnx", "openvino"]
# Other orders of summation, in float32, move a box by a thousandth of a pixel.
BOX_TOLERANCE_PX, SCORE_TOLERANCE = 0.01, 1e-4

Detectors = Callable[[str, str], Detector]


@pytest.fixture(scope="session")
def images() -> UInt8Array:
    """Noise, which random weights see something in."""
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)


def assert_same_rows(found: Float32Array, expected: Float32Array) -> None:
    np.testing.assert_allclose(found[..., :4], expected[..., :4], atol=BOX_TOLERANCE_PX)
    np.testing.assert_allclose(found[..., 4], expected[..., 4], atol=SCORE_TOLERANCE)
    # Where two classes score the same, either may come out.
    assert (found[..., 5] == expected[..., 5]).mean() > 0.99


@pytest.mark.parametrize("name", OTHERS)
def test_a_backend_agrees_with_torch(tiny_weights: Path, images: UInt8Array, name: str) -> None:
    expected = load_session(tiny_weights, device="cpu", backend="torch")(images)
    session = load_session(tiny_weights, device="cpu", backend=name)
    assert (session.name, session.device, session.precision) == (name, "cpu", "fp32")
    assert session.card.class_names == ("cat", "dog")
    assert_same_rows(session(images), expected)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("scene", NAMES)
@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
def test_detections_of_real_weights_agree_with_torch(
    data: Path, detectors: Detectors, by_torch: Callable[[str, str], Detections], name: str, scene: str, model: str
) -> None:
    expected, found = by_torch(model, scene), detectors(model, name)(picture(data, scene))
    assert len(expected) > 0
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=BOX_TOLERANCE_PX)
    np.testing.assert_allclose(found.scores, expected.scores, atol=SCORE_TOLERANCE)


@pytest.fixture(scope="module")
def detectors(data: Path) -> Detectors:
    """Makes a detector of real weights with a backend, once."""
    return cache(lambda model, name: Detector(data / "weights" / f"{model}.pt", device="cpu", backend=name, conf=0.1))


@pytest.fixture(scope="module")
def by_torch(data: Path, detectors: Detectors) -> Callable[[str, str], Detections]:
    """What torch finds in a picture of the reference, computed once."""
    return cache(lambda model, scene: detectors(model, "torch")(picture(data, scene)))


@pytest.mark.parametrize("name", ["torch", *OTHERS])
def test_rows_do_not_depend_on_the_batch(tiny_weights: Path, images: UInt8Array, name: str) -> None:
    session = load_session(tiny_weights, device="cpu", backend=name)
    together = session(images)
    assert together.shape[::2] == (3, 6)
    for image, rows in zip(images, together, strict=True):
        assert_same_rows(session(image[None])[0], rows)


@pytest.mark.parametrize("name", ["torch", *OTHERS])
def test_the_slots_of_a_stream_give_what_a_call_gives(tiny_weights: Path, name: str) -> None:
    detector = Detector(tiny_weights, device="cpu", backend=name, size=96, conf=0.0, iou=1.0, max_det=10_000)
    random = np.random.default_rng(1)
    # The third image does not fit the slots of the first two.
    pictures = [random.integers(0, 256, (*hw, 3), np.uint8) for hw in [(64, 96), (64, 96), (96, 64), (64, 96)]]
    streamed = list(detector.stream(to_frame(image, i) for i, image in enumerate(pictures)))
    assert [frame.index for frame, _ in streamed] == [0, 1, 2, 3]
    for (_, found), image in zip(streamed, pictures, strict=True):
        expected = detector(image)
        np.testing.assert_allclose(found.scores, expected.scores, atol=SCORE_TOLERANCE)


@pytest.mark.parametrize("name", OTHERS)
def test_a_stream_that_is_given_up_ends_what_it_began(tiny_weights: Path, name: str) -> None:
    detector = Detector(tiny_weights, device="cpu", backend=name, size=96)
    image = np.zeros((64, 96, 3), np.uint8)
    stream = detector.stream(to_frame(image, i) for i in range(100))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(list(detector.stream([to_frame(image)]))) == 1


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"openvino", "onnx", "onnxruntime", "torch"}, "openvino"),
        ({"openvino", "onnx", "torch"}, "openvino"),
        ({"onnx", "onnxruntime", "torch"}, "onnx"),
        ({"openvino", "onnxruntime", "torch"}, "torch"),
        ({"torch"}, "torch"),
    ],
)
def test_auto_takes_the_fastest_that_is_installed(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, installed: set[str], expected: str
) -> None:
    """Without the package onnx no graph can be made of weights."""
    monkeypatch.setattr(load, "find_spec", lambda name: name in installed or None)
    assert load_session(tiny_weights, device="cpu").name == expected


@pytest.mark.parametrize(("name", "extra"), [("openvino", "cpu"), ("onnx", "onnx")])
def test_a_runtime_that_is_missing(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, name: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, load.BACKENDS[name], None)
    with pytest.raises(MissingExtraError, match=rf"not installed; add it with: pip install 'streamdet\[{extra}\]'"):
        load_session(tiny_weights, device="cpu", backend=name)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("a.pt", {"backend": "tensorrt"}, "backend must be auto, openvino, onnx, torch, got 'tensorrt'"),
        ("a.onnx", {"backend": "torch"}, "a.onnx on cpu needs the backend openvino or onnx, got 'torch'"),
        ("", {"backend": "onnx"}, "on cpu needs the backend openvino, got 'onnx'"),
        ("a.onnx", {"device": "cuda"}, "an exported model is computed on the device cpu, got 'cuda'"),
        ("a.onnx", {}, "expected an ONNX model, but it cannot be read: No such file"),
        ("a.pt", {"backend": "onnx"}, "no weights found: expected a file .*a.pt"),
        ("", {}, "expected a folder with model.xml, as streamdet export writes it, found 0 .xml"),
        ("a.pt", {"backend": "onnx", "precision": "half"}, "needs the backend openvino or torch, got 'onnx'"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(
    tmp_path: Path, model: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_session(tmp_path / model, **options)


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_is_no_model(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no model at all")
    with pytest.raises(InputError, match=r"a\.onnx: expected an ONNX"):
        load_session(tmp_path / "a.onnx", backend=name)


@pytest.mark.parametrize("name", OTHERS)
def test_a_graph_that_detects_nothing_says_what_it_takes_and_gives(write_onnx: Callable[..., Path], name: str) -> None:
    path = write_onnx()
    with pytest.raises(
        InputError, match=r"expected the detector of streamdet export, or of .* found one with crops0 \(\?, 3, 8, 4\)"
    ):
        load_session(path, backend=name)


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_half_precision_is_refused_where_the_cpu_has_none(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import openvino

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    with pytest.raises(InputError, match="this CPU has no bf16 arithmetic"):
        load_session(tiny_weights, device="cpu", backend=name, precision="half")


def test_auto_computes_in_bf16_where_the_cpu_does(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "BF16"])
    sessions: list[Session] = [
        load_session(tiny_weights, device="cpu"),
        load_session(tiny_weights, device="cpu", backend="openvino"),
        load_session(tiny_weights, device="cpu", backend="openvino", precision="half"),
    ]
    assert [session.precision for session in sessions] == ["bf16", "fp32", "bf16"]


@pytest.mark.gpu
def test_auto_computes_in_16_bits_on_a_gpu(tiny_weights: Path) -> None:
    assert load_session(tiny_weights, device="cuda:0").precision == "fp16"
    assert load_session(tiny_weights, device="cuda:0", backend="torch").precision == "fp32"


# Released by another thread than the one that computed; then the first thread gets a signal.
RELEASED = """
import signal, sys, threading
from pathlib import Path
import numpy as np
from streamdet.inference.load import load_session

held = [load_session(Path(sys.argv[1]), device="cpu", backend="openvino")]
held[0](np.zeros((1, 64, 96, 3), np.uint8))
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_backend_released_by_another_thread_leaves_signals_alone(tiny_weights: Path) -> None:
    command = [sys.executable, "-c", RELEASED, str(tiny_weights)]
    ended = subprocess.run(command, timeout=100, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr
