"""Loss, assigner, schedule, average and validation together: eight real images are learned by heart."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamdet.data.dataset import Dataset, LabelledImage
from streamdet.data.locate import label_path
from streamdet.files import resource
from streamdet.models.table import load_spec
from streamdet.models.weights import Network
from streamdet.train.config import TrainConfig
from streamdet.train.examples import load
from streamdet.train.loop import Training
from streamdet.train.validate import validate

from .small_training import STILL

CLASS_NAMES = tuple(f"class {index}" for index in range(80))
SEEN_PER_EPOCH = 20  # times that each image is seen in an epoch
# Weights must come to rest before the end: batch norms follow them slowly, and without them nothing is detected.
SETTINGS = TrainConfig(
    epochs=9,
    batch=8,
    nominal_batch=8,
    imgsz=160,
    optimizer="adamw",
    lr0=0.002,
    cosine=True,
    momentum=0.9,
    warmup_epochs=1,
    ema_decay=0.9,
    workers=0,
).model_copy(update=STILL)


def is_large(image: LabelledImage) -> bool:
    """Return whether every object is at least a tenth of the image's longer side wide and high."""
    example = load(image)
    sides = example.boxes[:, 2:] - example.boxes[:, :2]
    return len(sides) > 0 and bool(sides.min() >= 0.1 * np.max(example.hw))


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_eight_images_are_learned_by_heart(data: Path, tmp_path: Path) -> None:
    files = sorted((data / "coco128" / "images").rglob("*.jpg"))
    known = (LabelledImage(file, label_path(file), (True,) * len(CLASS_NAMES)) for file in files)
    images = tuple(image for image in known if is_large(image))[:8]
    torch.manual_seed(0)
    network = Network(load_spec(resource("configs/models/embedded.yaml")).with_classes(CLASS_NAMES))
    training = Training(network, Dataset(tmp_path, CLASS_NAMES, images * SEEN_PER_EPOCH, ()), SETTINGS, tmp_path)
    assert training.run()
    first, last = training.position.history[0], training.position.history[-1]
    assert sum(last.losses.values()) < 0.15 * sum(first.losses.values())
    scores = validate(network.eval(), images, CLASS_NAMES, SETTINGS.imgsz, "cpu")
    assert scores["map50"] > 0.95
