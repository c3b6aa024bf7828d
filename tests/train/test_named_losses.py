"""Losses and assigners chosen by name: each is what the settings state, and a network learns by it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamdet.errors import InputError
from streamdet.models.heads import REG_MAX
from streamdet.models.table import resolve
from streamdet.models.weights import Network
from streamdet.train.assign import Targets
from streamdet.train.config import TrainConfig, read_train_config
from streamdet.train.criterion import build_criterion
from streamdet.train.loop import Training

from .rectangles import CLASS_NAMES, painted, write_data_set
from .small_training import SETTINGS, small_network, small_training

WITH_ANCHORS = {
    "names": list(CLASS_NAMES),
    "anchors": [[24, 24, 32, 20]],
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[2], 1, "Detect", ["nc", "anchors"]]],
}


def batch() -> tuple[torch.Tensor, Targets]:
    """Four images of one rectangle each."""
    boxes = [(8.0, 8.0, 40.0, 32.0), (16.0, 24.0, 56.0, 56.0), (4.0, 30.0, 30.0, 60.0), (30.0, 2.0, 62.0, 30.0)]
    examples = [painted((64, 64), [box], first=index % 2) for index, box in enumerate(boxes)]
    images = torch.from_numpy(np.stack([example.image for example in examples])).permute(0, 3, 1, 2) / 255
    targets = Targets(
        torch.tensor(boxes), torch.tensor([0, 1, 0, 1]), torch.arange(4), torch.ones(4, 2, dtype=torch.bool)
    )
    return images, targets


def learned(network: Network, settings: TrainConfig, steps: int = 60) -> tuple[float, float]:
    """The loss before the first step and after the last."""
    images, targets = batch()
    criterion = build_criterion(network.train(), settings)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(steps + 1):
        loss, _ = criterion(network(images), targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return losses[0], losses[-1]


@pytest.mark.parametrize(
    "stated",
    [
        *({"box_loss": name} for name in ("ciou", "giou", "diou", "siou", "iou")),
        *({"class_loss": name} for name in ("focal", "varifocal", "quality_focal")),
        *({"assigner": name} for name in ("simota", "atss")),
        {"label_smoothing": 0.1},
    ],
    ids=lambda stated: "-".join(map(str, *stated.items())),
)
def test_a_network_learns_by_each(stated: dict[str, Any]) -> None:
    first, last = learned(small_network(), read_train_config(None, stated))
    assert last < 0.5 * first


@pytest.mark.parametrize("stated", [{"box_loss": "siou"}, {"class_loss": "quality_focal"}])
def test_a_network_with_anchors_learns_by_each(stated: dict[str, Any]) -> None:
    torch.manual_seed(0)
    first, last = learned(Network(resolve(WITH_ANCHORS, "small")), read_train_config(None, stated))
    assert last < 0.5 * first


def one_map() -> tuple[torch.Tensor, Targets]:
    """A map of one cell, which says 8 px to all sides and the logits 1 and -1, and an object of class 1 there."""
    raw = torch.zeros(1, 4 * REG_MAX + 2, 1, 1)
    raw[0, [1 + side * REG_MAX for side in range(4)]] = 50.0  # one cell of 8 px
    raw[0, -2], raw[0, -1] = 1.0, -1.0
    box = torch.tensor([[-4.0, -4, 12, 4]])  # half of what is said, (-4, -4, 12, 12)
    return raw, Targets(box, torch.tensor([1]), torch.tensor([0]), torch.ones(1, 2, dtype=torch.bool))


def parts(**stated: Any) -> Any:
    raw, targets = one_map()
    gains = {"box": 1, "cls": 1, "dfl": 1, "assigner": "simota"}  # whose score is the IoU, 1 / 2
    return build_criterion(small_network(), read_train_config(None, gains | stated))([raw], targets)[1]


def test_the_box_loss_is_what_is_named() -> None:
    # The weight is the score 1 / 2, the divisor at least 1. IoU 1 / 2; the centres are 4 px apart, the box around both
    # is 16 by 16.
    assert parts(box_loss="iou").box == pytest.approx(0.5 * 0.5, rel=1e-4)
    assert parts(box_loss="giou").box == pytest.approx(0.5 * 0.5, rel=1e-4)
    assert parts(box_loss="diou").box == pytest.approx(0.5 * (0.5 + 16 / 512), rel=1e-4)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_class_loss_is_what_is_named() -> None:
    # BCE(x, y) = softplus(x) - x y, of the logits 1, of which 0 is wanted, and -1, of which 1 / 2 is.
    absent, present = softplus(1), softplus(-1) + 0.5
    p, q = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))
    assert parts().cls == pytest.approx(absent + present, rel=1e-4)
    assert parts(class_loss="varifocal").cls == pytest.approx(0.75 * p**2 * absent + 0.5 * present, rel=1e-4)
    assert parts(class_loss="quality_focal").cls == pytest.approx(p**2 * absent + (0.5 - q) ** 2 * present, rel=1e-4)


def test_label_smoothing_moves_half_of_its_share_to_the_other_classes() -> None:
    # Wanted are 0.5 * 0.1 of the logit 1, and 0.5 * 0.9 of the logit -1.
    expected = softplus(1) - 0.05 + softplus(-1) + 0.45
    assert parts(label_smoothing=0.2).cls == pytest.approx(expected, rel=1e-4)


def test_a_model_with_anchors_has_no_assigner_by_name() -> None:
    network = Network(resolve(WITH_ANCHORS, "small"))
    with pytest.raises(InputError, match="assigner: expected none for a model with anchors, found 'atss'"):
        build_criterion(network, read_train_config(None, {"assigner": "atss"}))


def test_objectness_is_called_so_in_the_results(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = write_data_set(tmp_path, 4)
    network = Network(resolve(WITH_ANCHORS, "small"))
    training = Training(network, data, SETTINGS.model_copy(update={"epochs": 1}), tmp_path)
    seen: list[list[str]] = []
    training.run(lambda report: seen.append(list(report.parts)))
    assert seen[-1] == ["box", "cls", "objectness"]
    assert (tmp_path / "results.csv").read_text().startswith("epoch,box,cls,objectness,map50_95,map50,lr\n")
    assert small_training(data, tmp_path / "free", epochs=1).run()
    assert (tmp_path / "free" / "results.csv").read_text().startswith("epoch,box,cls,dfl,map50_95,map50,lr\n")
