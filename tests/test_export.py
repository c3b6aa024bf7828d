"""What was exported finds what the weights find, in whatever form; what cannot be exported is one sentence."""

import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamdet.cli.app import main
from streamdet.detect.detector import Detector
from streamdet.errors import InputError, MissingExtraError, OutputError
from streamdet.export import ExportJob, Format, calibration_images, export
from streamdet.inference.load import load_session, possible_backends
from streamdet.inference.session import ModelCard
from streamdet.models.weights import load_model
from streamdet.options import ThresholdOptions
from streamdet.types import Detections
from tests.detect.pictures import NAMES, picture
from tests.exact import EXACT


def assert_same(found: Detections, expected: Detections, box_px: float, score: float) -> None:
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=box_px)
    np.testing.assert_allclose(found.scores, expected.scores, atol=score)


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
@pytest.mark.parametrize(
    ("file_format", "half", "box_px", "score"),
    [("onnx", False, 0.01, 1e-4), ("onnx", True, 2, 0.02), ("openvino", False, 0.01, 1e-4)],
)
def test_an_export_finds_what_the_weights_find(
    data: Path, tmp_path: Path, model: str, file_format: Format, half: bool, box_px: float, score: float
) -> None:
    weights = data / "weights" / f"{model}.pt"
    out = tmp_path / ("a.onnx" if file_format == "onnx" else "a")
    path, card = export(ExportJob(weights, file_format, (384, 640), half, out=out))
    assert (path, card.precision) == (out, "fp16" if half else "fp32")
    expected = Detector(weights, device="cpu", backend="torch")
    for backend in ("onnx", "openvino") if file_format == "onnx" else ("openvino",):
        detector = Detector(path, backend=backend)
        for name in NAMES[:2]:
            assert_same(detector(picture(data, name)), expected(picture(data, name)), box_px, score)


def test_half_is_half_the_size(tiny_weights: Path, tmp_path: Path) -> None:
    sizes = []
    for half in (False, True):
        path, _ = export(ExportJob(tiny_weights, "openvino", (64, 96), half, out=tmp_path / f"{half}"))
        sizes.append((path / "model.bin").stat().st_size)
    assert sizes[1] / sizes[0] == pytest.approx(0.5, abs=0.02)


def test_nms_inside_keeps_what_the_detector_keeps(data: Path, weights: Path, tmp_path: Path) -> None:
    suppression = ThresholdOptions(conf=0.1, iou=0.6, max_det=50)
    path, _ = export(ExportJob(weights, "onnx", suppression=suppression, out=tmp_path / "a.onnx"))
    for backend in ("onnx", "openvino"):
        outside = Detector(weights, device="cpu", backend=backend, conf=0.25, iou=0.6, max_det=50)
        inside = Detector(path, backend=backend, conf=0.25, iou=0.6, max_det=50)
        for name in NAMES:
            assert_same(inside(picture(data, name)), outside(picture(data, name)), 1e-3, 1e-6)


def test_what_nms_inside_has_removed_cannot_be_asked_for(tiny_weights: Path, tmp_path: Path) -> None:
    suppression = ThresholdOptions(conf=0.1, iou=0.6, max_det=50)
    path, _ = export(ExportJob(tiny_weights, "onnx", suppression=suppression, out=tmp_path / "a.onnx"))
    for asked in ({"iou": 0.7}, {"conf": 0.05}, {"max_det": 51}, {"agnostic": True}, {"nms": "none"}):
        with pytest.raises(
            InputError, match=r"exported with greedy NMS at iou 0\.6 within each class, scores from 0\.1"
        ):
            Detector(path, **{"conf": 0.1, "iou": 0.6, "max_det": 50} | asked)


@pytest.mark.parametrize("file_format", ["onnx", "openvino"])
def test_dynamic_shapes_take_images_of_any_size_and_number(
    tiny_weights: Path, tmp_path: Path, file_format: Format
) -> None:
    out = tmp_path / ("a.onnx" if file_format == "onnx" else "a")
    path, _ = export(ExportJob(tiny_weights, file_format, out=out))
    session = load_session(path, backend="openvino")
    expected = load_session(tiny_weights, device="cpu", backend="torch")
    random = np.random.default_rng(0)
    for shape in ((1, 64, 96, 3), (3, 96, 64, 3), (2, 32, 32, 3)):
        images = random.integers(0, 256, shape, np.uint8)
        np.testing.assert_allclose(session(images)[..., :5], expected(images)[..., :5], atol=0.01)


def test_a_fixed_size_is_used_without_being_asked_for_and_no_other_is(tiny_weights: Path, tmp_path: Path) -> None:
    path, _ = export(ExportJob(tiny_weights, "onnx", (64, 96), out=tmp_path / "a.onnx"))
    for size in (None, 96, (64, 96)):
        assert Detector(path, size=size).input_hw((1080, 1920)) == (64, 96)
    with pytest.raises(InputError, match="exported for images of 64x96 px, got the image size 640"):
        Detector(path, size=640)


def test_a_fixed_size_takes_a_batch_one_by_one(tiny_weights: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)
    expected = load_session(tiny_weights, device="cpu", backend="torch")(images)
    path, _ = export(ExportJob(tiny_weights, "onnx", (64, 96), out=tmp_path / "a.onnx"))
    for name in ("onnx", "openvino"):
        np.testing.assert_allclose(load_session(path, backend=name)(images)[..., :5], expected[..., :5], atol=0.01)


def test_a_folder_may_be_named_by_its_xml(tiny_weights: Path, tmp_path: Path) -> None:
    path, _ = export(ExportJob(tiny_weights, "openvino", (64, 96), out=tmp_path / "a"))
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    by_folder, by_xml = load_session(path), load_session(path / "model.xml")
    assert (by_xml.name, by_xml.card) == ("openvino", by_folder.card)
    np.testing.assert_array_equal(by_xml(images), by_folder(images))
    assert possible_backends(path / "model.xml") == ("openvino",)
    with pytest.raises(InputError, match="needs the backend openvino, got 'onnx'"):
        load_session(path / "model.xml", backend="onnx")


def test_int8_leaves_the_finest_maps_as_they_are(tiny_weights: Path, tmp_path: Path) -> None:
    import openvino

    cv2.imwrite(str(tmp_path / "noise.png"), np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8))
    calibration = str(tmp_path / "noise.png")
    path, _ = export(ExportJob(tiny_weights, "openvino", (128, 128), calibration=calibration, out=tmp_path / "int8"))
    rounded: dict[int, set[str]] = defaultdict(set)
    for operation in openvino.Core().read_model(path / "model.xml").get_ordered_ops():
        if operation.get_type_name() == "Convolution":
            weight = operation.input_value(1).get_node()
            while weight.get_type_name() != "Constant":
                weight = weight.input_value(0).get_node()
            rounded[128 // operation.get_input_shape(0)[2]].add(weight.get_element_type().get_type_name())
    assert rounded == {1: {"f32"}, 2: {"f32"}, 4: {"f32"}, 8: {"i8"}, 16: {"i8"}, 32: {"i8"}}


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
def test_int8_still_finds_what_is_clear_to_see(data: Path, tmp_path: Path, model: str) -> None:
    weights = data / "weights" / f"{model}.pt"
    pictures = str(data / "oracles" / "yolov8n" / "*.png")
    path, card = export(ExportJob(weights, "openvino", calibration=pictures, out=tmp_path / "int8"))
    assert card.precision == "int8"
    detector, reference = Detector(path, **EXACT), Detector(weights, device="cpu", backend="onnx")
    assert (detector.session.name, detector.session.precision) == ("openvino", "int8")
    parameters = sum(parameter.numel() for parameter in load_model(weights).module.parameters())
    assert (path / "model.bin").stat().st_size < 1.2 * parameters
    for name in NAMES:
        found, expected = detector(picture(data, name)), reference(picture(data, name))
        for box, class_id in zip(expected.boxes[expected.scores > 0.6], expected.class_ids, strict=False):
            nearest = np.abs(found.boxes - box).max(1) + 1e6 * (found.class_ids != class_id)
            assert nearest.min() < 0.1 * (box[2:] - box[:2]).max() + 2


def test_calibration_images_are_spread_over_the_video_and_fitted_like_the_detectors(data: Path) -> None:
    card = ModelCard(("person",), 32)
    images = calibration_images(str(data / "videos" / "vtest.avi"), card)
    assert 300 >= len(images) > 150
    assert {image.shape for image in images} == {(1, 480, 640, 3)}
    # Frames from all over the clip: no two of them show the same.
    assert all((a != b).mean() > 0.01 for a, b in pairwise(images))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_hw": (100, 640)}, "positive multiples of the model's stride 32, got 100x640"),
        ({"half": True, "calibration": "x", "file_format": "openvino"}, "expected half precision or int8, found both"),
        ({"calibration": "x"}, "int8 is written in the format openvino only"),
        (
            {
                "calibration": "x",
                "suppression": ThresholdOptions(conf=0.1, iou=0.7, max_det=9),
                "file_format": "openvino",
            },
            "expected int8 or NMS inside, found both",
        ),
        ({"calibration": "nowhere.mp4", "file_format": "openvino"}, "nowhere.mp4"),
        (
            {"suppression": ThresholdOptions(conf=0.0, iou=0.7, max_det=9)},
            "NMS inside a graph needs a lowest score above 0",
        ),
        ({"out": Path("a.txt")}, r"expected a file name that ends with \.onnx, found 'a.txt'"),
        ({"out": Path("nowhere", "a.onnx")}, "the folder nowhere does not exist"),
        ({"out": Path(__file__), "file_format": "openvino"}, r"expected a folder for model\.xml and model\.bin"),
        ({"model": Path("none.pt")}, "no weights found"),
        ({"model": Path("a.onnx")}, "expected weights in a .pt or .safetensors file, found an ONNX model: give"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"model": tiny_weights, "file_format": "onnx"} | options
    with pytest.raises(InputError, match=message):
        export(ExportJob(**given))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_failure(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.xml").mkdir()
    with pytest.raises(OutputError, match="the model cannot be written: Is a directory") as raised:
        export(ExportJob(tiny_weights, "openvino", (64, 96), out=tmp_path / "a"))
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    ("written", "read", "options"),
    [
        ("a.onnx", "MODEL", ("--out", "a.onnx")),
        ("a/model.bin", "--calibrate", ("--out", "a", "--format", "openvino", "--int8", "--calibrate", "clip.avi")),
    ],
)
def test_what_is_read_is_not_replaced_under_another_name(
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Any,
    written: str,
    read: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = {"MODEL": tmp_path / "tiny.safetensors", "--calibrate": tmp_path / "clip.avi"}
    for path in inputs.values():
        path.write_bytes(tiny_weights.read_bytes())
    out = Path(written)
    out.parent.mkdir(exist_ok=True)
    out.hardlink_to(inputs[read])
    code, said = command("tiny.safetensors", "--imgsz", 64, *options)
    assert code == 2
    assert f", but {out} is read as {read}: " in said
    assert out.samefile(inputs[read])


def test_int8_without_its_package(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 96, 3), 90, np.uint8))
    options = ExportJob(tiny_weights, "openvino", (64, 96), calibration=str(tmp_path), out=tmp_path / "a")
    with pytest.raises(MissingExtraError, match=r"nncf is not installed; add it with: pip install 'streamdet\[int8\]'"):
        export(options)
    assert not (tmp_path / "a").exists()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Runs the command line in this process; returns its exit code and what it printed, in one line."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["streamdet", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), " ".join(capsys.readouterr().err.split())

    handler = signal.getsignal(signal.SIGINT)
    yield run
    signal.signal(signal.SIGINT, handler)


def test_the_command_says_what_it_wrote(tiny_weights: Path, tmp_path: Path, command: Any) -> None:
    weights = tmp_path / "a.safetensors"
    weights.write_bytes(tiny_weights.read_bytes())
    code, said = command(weights, "--imgsz", "64x96", "--half", "--nms")
    assert code == 0
    assert said.endswith("a_fp16.onnx (1.9 MB, fp16, 64x96 px, NMS inside)")
    assert command(weights, "--format", "openvino", "--dynamic")[1].endswith("MB, fp32, images of any size)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "a_fp16.onnx", "a_openvino"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dynamic", "--imgsz", "640"], "expected --imgsz or --dynamic, found both"),
        (["--int8"], "expected --int8 with --calibrate, a video or a folder of images like yours, found --int8 alone"),
        (["--calibrate", "a.mp4"], "found --calibrate alone"),
        (["--imgsz", "0"], "image size must be positive multiples of the model's stride 32, got 0x0"),
        (["--nms", "--iou", "2"], "iou must be between 0 and 1, got 2.0"),
        (["--nms", "--conf", "3"], "conf must be between 0 and 1, got 3.0"),
        (["--imgsz", "wide"], "--imgsz must be a side such as 640 or HEIGHTxWIDTH such as 384x640, got 'wide'"),
    ],
)
def test_options_that_do_not_go_together(tiny_weights: Path, command: Any, options: list[str], message: str) -> None:
    code, said = command(tiny_weights, *options)
    assert code == 2
    assert message in said
