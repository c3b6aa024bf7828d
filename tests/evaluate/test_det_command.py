"""``streamdet eval det`` as a user meets it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Streamdet = Callable[..., str]

NAMES = ["person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck"]  # COCO's first
IMAGES = 12


@pytest.fixture
def coco(data: Path, tmp_path: Path) -> Path:
    """A data file of the first images of COCO128 with eight of its classes, and a unicorn."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for image in sorted((data / "coco128" / "images" / "train2017").iterdir())[:IMAGES]:
        shutil.copy(image, images)
        lines = (data / "coco128" / "labels" / "train2017" / f"{image.stem}.txt").read_text().splitlines()
        kept = [line for line in lines if int(line.split()[0]) < len(NAMES)]
        (labels / f"{image.stem}.txt").write_text("\n".join(kept))
    (tmp_path / "data.yaml").write_text(f"train: images\nval: images\nnames: [{', '.join([*NAMES, 'unicorn'])}]")
    return tmp_path / "data.yaml"


def test_scores_are_printed_and_written(streamdet: Streamdet, coco: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "scores"
    printed = streamdet("eval", "det", coco, "--model", weights, "--imgsz", 320, "--out", out, code=0)
    scores = json.loads((out / "scores.json").read_text())
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line}
    assert float(rows["all"][1]) == pytest.approx(100 * scores["map50_95"], abs=0.06)
    assert int(rows["person"][0]) == scores["by_class"]["person"]["truths"]
    assert scores["images"] == IMAGES
    assert scores["map50"] > 0.3
    assert scores["by_class"]["unicorn"]["ap50"] is None
    assert len(scores["by_class"]["person"]["curve"]) == len(scores["recalls"]) == 101
    assert (out / "precision_recall.png").read_bytes().startswith(b"\x89PNG")
    assert "the model does not know unicorn: left out of all scores" in printed
    assert "72 classes of the model are not in the data" in printed


def test_backend_and_precision_decide_what_is_scored(
    streamdet: Streamdet, coco: Path, weights: Path, tmp_path: Path
) -> None:
    scores = {}
    for backend, precision in (("torch", "fp32"), ("onnx", "fp32")):
        out = tmp_path / backend
        chosen = "--backend", backend, "--precision", precision, "--imgsz", 160, "--out", out
        streamdet("eval", "det", coco, "--model", weights, *chosen, code=0)
        scores[backend] = json.loads((out / "scores.json").read_text())
        assert (scores[backend]["backend"], scores[backend]["precision"]) == (backend, precision)
    # The same arithmetic in another order.
    assert scores["torch"]["map50_95"] == pytest.approx(scores["onnx"]["map50_95"], abs=0.01)
    refused = streamdet("eval", "det", coco, "--model", weights, "--backend", "tensorflow", code=2)
    assert "backend must be auto, openvino, onnx, torch, got 'tensorflow'" in refused


def test_a_broken_image_is_named_and_left_out(streamdet: Streamdet, coco: Path, weights: Path, tmp_path: Path) -> None:
    broken = sorted((coco.parent / "images").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:5000])
    printed = streamdet("eval", "det", coco, "--model", weights, "--imgsz", 320, "--out", tmp_path / "out", code=0)
    assert f"left out: {broken}: ends early" in printed
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["images"] == IMAGES - 1


def test_scores_do_not_replace_what_is_read(streamdet: Streamdet, coco: Path, weights: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "out", coco.read_bytes()
    out.mkdir()
    (out / "scores.json").hardlink_to(coco)
    printed = streamdet("eval", "det", coco, "--model", weights, "--imgsz", 320, "--out", out, code=2)
    assert f"expected a file of its own for scores.json, but {out / 'scores.json'} is read as DATA" in printed
    assert coco.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (("unicorn", "person"), [], "expected every class name once"),
        (("val: images\n", ""), [], "expected images in the split val, found none that can be used"),
        (None, ["--out", "data.yaml"], "expected a folder to write to, but data.yaml is none"),
        (None, ["--imgsz", "large"], "--imgsz must be a side"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    streamdet: Streamdet,
    coco: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, str] | None,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(coco.parent)
    if change:
        coco.write_text(coco.read_text().replace(*change))
    printed = streamdet("eval", "det", coco, "--model", weights, *options, code=2)
    assert message in printed


def test_a_model_of_other_classes_is_refused(streamdet: Streamdet, coco: Path, tiny_weights: Path) -> None:
    printed = streamdet("eval", "det", coco, "--model", tiny_weights, code=2)
    assert "found one that knows cat, dog" in printed


def test_without_matplotlib_nothing_is_begun(
    streamdet: Streamdet, coco: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamdet.cli.evaluate.find_spec", lambda name: None if name == "matplotlib" else object())
    printed = streamdet("eval", "det", coco, "--model", weights, "--out", tmp_path / "out", code=2)
    assert "pip install 'streamdet[train]'" in printed
    assert not (tmp_path / "out").exists()
