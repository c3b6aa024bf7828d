"""Plots show the values that they are given, and say what is missing."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamdet import plots
from streamdet.data.check import check
from streamdet.data.dataset import read_dataset
from streamdet.data.images import read_image
from streamdet.draw import id_color
from streamdet.errors import InputError, MissingExtraError, OutputError
from streamdet.evaluate.det import ClassScores, DetectionScores
from streamdet.plots import (
    panels,
    save,
    save_batch,
    save_curves,
    save_label_statistics,
    save_precision_recall,
)
from streamdet.types import Detections, UInt8Array
from tests.data.pictures import write_set

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE = np.linspace(1, 0.5, 101)
NONE = float("nan")
SCORES = DetectionScores(
    0.5,
    0.75,
    0.6,
    {"small": NONE, "medium": 0.5, "large": NONE},
    {
        "cat": ClassScores(4, 0.6, 0.8, 0.7, 0.9, 0.75, 0.3, CURVE),
        "dog": ClassScores(2, 0.4, 0.0, 0.5, 0.0, 0.0, NONE, np.zeros(101)),
        "bird": ClassScores(0, NONE, NONE, NONE, NONE, NONE, NONE, np.full(101, NONE)),
    },
)
NOTHING = Detections(np.zeros((0, 4)), [], [])
RESULTS = "epoch,box,cls,dfl,map50_95,map50,lr\n0,3,4,2,,,0.01\n1,2,3,1.5,0.2,0.4,0.005\n2,1,2,1,nan,nan,0.001\n"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> "list[Figure]":
    """The figures that are saved."""
    figures: list[Figure] = []

    def spy(figure: "Figure", png: Path) -> None:
        figures.append(figure)
        save(figure, png)

    monkeypatch.setattr(plots, "save", spy)
    return figures


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and picture(path).std() > 1


def picture(path: Path) -> UInt8Array:
    image = read_image(path)
    assert image is not None
    return image


def test_curves_of_a_training(tmp_path: Path, drawn: "list[Figure]") -> None:
    (tmp_path / "results.csv").write_text(RESULTS)
    save_curves(tmp_path / "results.csv", tmp_path / "curves.png")
    assert is_png(tmp_path / "curves.png")
    lines = {line.get_label(): line for axis in drawn[0].axes for line in axis.lines}
    assert sorted(map(str, lines)) == ["box", "cls", "dfl", "lr", "map50", "map50_95"]
    assert np.array(lines["box"].get_xydata()).tolist() == [[0, 3], [1, 2], [2, 1]]
    assert np.array(lines["map50"].get_xydata()).tolist() == [[1, 0.4]]


def test_a_training_without_an_epoch_has_empty_curves(tmp_path: Path, drawn: "list[Figure]") -> None:
    (tmp_path / "results.csv").write_text(RESULTS.splitlines()[0])
    save_curves(tmp_path / "results.csv", tmp_path / "curves.png")
    assert all(len(line.get_xdata()) == 0 for axis in drawn[0].axes for line in axis.lines)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,box\n0,1\n", "found no 'lr'"),
        (RESULTS + "3,x,1,1,1,1,1\n", "could not convert"),
        (None, "No such file"),
    ],
)
def test_other_results_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "results.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        save_curves(tmp_path / "results.csv", tmp_path / "curves.png")


def test_precision_over_recall(tmp_path: Path, drawn: "list[Figure]") -> None:
    save_precision_recall(SCORES, tmp_path / "pr.png")
    assert is_png(tmp_path / "pr.png")
    (axis,) = drawn[0].axes
    lines = {line.get_label(): line for line in axis.lines if not str(line.get_label()).startswith("_")}
    assert list(lines) == ["cat 0.800", "dog 0.000", "all 0.750"]
    np.testing.assert_allclose(np.array(lines["cat 0.800"].get_ydata()), CURVE)
    np.testing.assert_allclose(np.array(lines["all 0.750"].get_ydata()), CURVE / 2)
    dots = [np.array(line.get_xydata()).tolist() for line in axis.lines if line.get_marker() == "."]
    assert dots == [[[0.75, 0.9]]]


def test_of_many_classes_only_the_mean_is_named(tmp_path: Path, drawn: "list[Figure]") -> None:
    many = dataclasses.replace(SCORES, by_class={f"class {i}": SCORES.by_class["cat"] for i in range(13)})
    save_precision_recall(many, tmp_path / "pr.png")
    legend = drawn[0].axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["all 0.750"]


def test_scores_of_nothing_give_an_empty_plot(tmp_path: Path, drawn: "list[Figure]") -> None:
    save_precision_recall(dataclasses.replace(SCORES, by_class={}), tmp_path / "pr.png")
    assert list(drawn[0].axes[0].lines) == []


def test_label_statistics(tmp_path: Path, drawn: "list[Figure]") -> None:
    write_set(tmp_path, {"train/a.png": "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n1 0.5 0.5 1 1\n"})
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat, dog]")
    save_label_statistics(check(read_dataset(tmp_path / "data.yaml")), tmp_path / "labels.png")
    assert is_png(tmp_path / "labels.png")
    classes, sizes = drawn[0].axes
    assert [bar.get_height() for bar in classes.patches] == [1, 2, 0, 0]  # type: ignore[attr-defined]
    assert [text.get_text() for text in classes.get_xticklabels()] == ["cat", "dog"]
    assert len(sizes.patches) == 1


def test_a_batch_is_a_square_of_images(tmp_path: Path) -> None:
    images = np.stack([np.full((96, 128, 3), 50 * i, np.uint8) for i in range(5)])
    dog, cat = (Detections([[40, 30, 100, 80]], [1], [class_id], ["cat", "dog"]) for class_id in (1, 0))
    save_batch(images, [dog, NOTHING, NOTHING, NOTHING, cat], tmp_path / "batch.png")
    mosaic = picture(tmp_path / "batch.png")
    assert mosaic.shape == (2 * 96, 3 * 128, 3)
    assert mosaic[60, 60].tolist() == [0, 0, 0]
    assert mosaic[60, 128 + 60].tolist() == [50, 50, 50]
    assert mosaic[96 + 90, 2 * 128 + 60].tolist() == [255, 255, 255]
    # A line of one px is softened at its edges.
    np.testing.assert_allclose(mosaic[60, 40], id_color(1), atol=30)
    np.testing.assert_allclose(mosaic[96 + 60, 128 + 40], id_color(0), atol=30)


def test_a_large_batch_is_cut_and_shrunk(tmp_path: Path) -> None:
    save_batch(np.zeros((20, 640, 640, 3), np.uint8), [NOTHING] * 20, tmp_path / "batch.png")
    assert picture(tmp_path / "batch.png").shape == (1920, 1920, 3)


@pytest.mark.parametrize(
    "write",
    [
        lambda png: save(panels(1)[0], png),
        lambda png: save_batch(np.zeros((1, 8, 8, 3), np.uint8), [NOTHING], png),
    ],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with pytest.raises(OutputError, match=r"nowhere/a\.png failed: No such file or directory"):
        write(tmp_path / "nowhere" / "a.png")


def test_without_matplotlib_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"streamdet\[train\]"):
        panels(1)
