"""Labels, examples, loss and validation of each task together: a tiny network learns eight images by heart."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from streamdet.cli.options import SceneSetOptions
from streamdet.cli.scene import run as render
from streamdet.data.dataset import Dataset, LabelledImage, read_dataset
from streamdet.data.images import read_image
from streamdet.data.labels import read_labels
from streamdet.data.locate import label_path
from streamdet.models.table import resolve
from streamdet.models.weights import Network
from streamdet.train.config import TrainConfig
from streamdet.train.examples import load
from streamdet.train.loop import Training
from streamdet.train.validate import validate
from tests.data.pictures import noise, write_image, write_labels

from .small_training import STILL

IMAGES, SEEN_PER_EPOCH = 8, 20
SIZE_PX = 96
SETTINGS = TrainConfig(
    epochs=9,
    batch=IMAGES,
    nominal_batch=IMAGES,
    imgsz=SIZE_PX,
    optimizer="adamw",
    lr0=0.004,
    cosine=True,
    momentum=0.9,
    warmup_epochs=1,
    ema_decay=0.9,
    workers=0,
    cache=True,
).model_copy(update=STILL)
BODY = [
    *([-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [32, 3, 2]], [-1, 1, "C2f", [32, True]]),
    *([-1, 1, "Conv", [48, 3, 2]], [-1, 1, "C2f", [48, True]]),
    *([-1, 1, "Conv", [64, 3, 2]], [-1, 1, "C2f", [64, True]]),
]


def learned(
    data: Dataset, head: list[object], out: Path, epochs: int = 9, **changes: float
) -> tuple[dict[str, float], float]:
    """Train on the images of `data`; return the scores on them, and the part of the first loss that is left."""
    torch.manual_seed(0)
    network = Network(resolve({"names": list(data.class_names), "backbone": BODY, "head": [head]}, "tiny"))
    repeated = Dataset(data.path, data.class_names, data.train * SEEN_PER_EPOCH, (), data.kpt_shape)
    out.mkdir(exist_ok=True)
    training = Training(network, repeated, SETTINGS.model_copy(update={"epochs": epochs, **changes}), out)
    assert training.run()
    first, *_, last = (sum(row.losses.values()) for row in training.position.history)
    return validate(network.eval(), data.train, data.class_names, SIZE_PX, "cpu"), last / first


def is_large(image: LabelledImage, least: float) -> bool:
    """Return whether the image has few objects, all of them at least the share `least` of its longer side."""
    example = load(image)
    sides = (example.boxes[:, 2:] - example.boxes[:, :2]).max(1, initial=0)
    return 0 < len(sides) <= 4 and bool(sides.min() >= least * np.max(example.hw))


def written_set(folder: Path, images: list[tuple[Path, Path]], extra: str, task: str, least: float = 0.2) -> Dataset:
    """Return the data set of the first images, with their labels, whose objects are large."""
    for image, label in images:
        write_labels(folder / "labels" / label.name, label.read_text())
        (folder / "images").mkdir(exist_ok=True)
        (folder / "images" / image.name).symlink_to(image)
    (folder / "data.yaml").write_text(f"train: images\n{extra}")
    data = read_dataset(folder / "data.yaml", task)
    kept = tuple(image for image in data.train if is_large(image, least))[:IMAGES]
    assert len(kept) == IMAGES
    return Dataset(data.path, data.class_names, kept, (), data.kpt_shape)


def beside(labels: Path, images: Path) -> list[tuple[Path, Path]]:
    return [(images / f"{path.stem}.jpg", path) for path in sorted(labels.rglob("*.txt"))]


@pytest.mark.timeout(600)
def test_masks(data: Path, tmp_path: Path) -> None:
    coco = data / "coco128"
    names = yaml.safe_dump({"names": [f"class {index}" for index in range(80)]})
    images = beside(coco / "segments", coco / "images" / "train2017")[:60]
    head = [[4, 6], 1, "Segment", ["nc", 8, 16]]
    scores, left = learned(written_set(tmp_path, images, names, "segment"), head, tmp_path)
    assert left < 0.25
    assert scores["map50"] > 0.9
    assert scores["masks_map50"] > 0.9


@pytest.mark.timeout(600)
def test_key_points(data: Path, tmp_path: Path) -> None:
    sides = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    extra = f"names: [person]\nkpt_shape: [17, 3]\nflip_idx: {sides}\n"
    images = beside(data / "pose" / "labels", data / "pose" / "images")
    head = [[4, 6], 1, "Pose", ["nc", [17, 3]]]
    # The similarity of a key point is flat from four of its widths on, which are 5 % of the root of a person's area for
    # an eye: what begins farther away is learned by chance, in larger steps. So not all of them are at the end.
    poses = written_set(tmp_path, images, extra, "pose", 0.35)
    scores, left = learned(poses, head, tmp_path, epochs=14, lr0=0.012)
    assert left < 0.25
    assert scores["map50"] > 0.9
    assert scores["keypoints_map50"] > 0.7


@pytest.mark.timeout(600)
def test_rotated_boxes(tmp_path: Path) -> None:
    """Bars of two colours, turned at random, on noise."""
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        image, lines = noise(index, SIZE_PX, SIZE_PX) // 4, []
        for class_id, x in enumerate((28, 68)):
            angle, length, width = rng.uniform(0, math.pi), rng.uniform(28, 36), rng.uniform(10, 16)
            corners = cv2.boxPoints(((x, rng.uniform(30, 66)), (length, width), math.degrees(angle)))
            colour = [(255, 80, 0), (0, 80, 255)][class_id]
            cv2.fillConvexPoly(image, np.round(corners * 16 - 8).astype(np.int32), colour, shift=4)
            lines.append(" ".join([str(class_id), *(f"{side:.6f}" for side in (corners / SIZE_PX).ravel())]))
        write_image(tmp_path / "images" / f"{index}.png", image)
        write_labels(tmp_path / "labels" / f"{index}.txt", "\n".join(lines))
    (tmp_path / "data.yaml").write_text("train: images\nnames: [warm, cold]\n")
    scores, left = learned(read_dataset(tmp_path / "data.yaml", "obb"), [[4, 6], 1, "OBB", ["nc", 1]], tmp_path / "out")
    assert left < 0.35
    assert scores["map50"] > 0.95
    assert scores["map50_95"] > 0.6


@pytest.mark.timeout(600)
def test_classes(data: Path, tmp_path: Path) -> None:
    """Two crops of objects of each of four classes."""
    coco, crops = data / "coco128", 0
    wanted = {0: 2, 14: 2, 16: 2, 22: 2}  # person, bird, dog, zebra
    for image in sorted((coco / "images" / "train2017").glob("*.jpg")):
        objects, _ = read_labels(label_path(image), 80)
        pixels = read_image(image)
        assert pixels is not None
        for class_id, box in zip(objects.class_ids.tolist(), objects.boxes, strict=True):
            x1, y1, x2, y2 = (box * np.array(pixels.shape[1::-1] * 2)).astype(int)
            if wanted.get(class_id, 0) and min(x2 - x1, y2 - y1) >= SIZE_PX // 2:
                write_image(tmp_path / "train" / str(class_id) / f"{crops}.png", pixels[y1:y2, x1:x2])
                wanted[class_id], crops = wanted[class_id] - 1, crops + 1
    assert crops == IMAGES
    scores, left = learned(read_dataset(tmp_path, "classify"), [6, 1, "Classify", ["nc"]], tmp_path / "out")
    assert left < 0.1
    assert (scores["top1"], scores["top5"]) == (1, 1)


STREETS = "scene://street?seed=6&size=128x96&seconds=20&fps=1&crowd=6"
HEADS: dict[str, list[object]] = {
    "segment": [[4, 6], 1, "Segment", ["nc", 8, 16]],
    "pose": [[4, 6], 1, "Pose", ["nc", [17, 3]]],
    "obb": [[4, 6], 1, "OBB", ["nc", 1]],
    "classify": [6, 1, "Classify", ["nc"]],
}


def rendered(folder: Path, task: str) -> Dataset:
    """Eight images of rendered streets whose objects are large, or crops, as many of each of two classes."""
    source = STREETS.replace("128x96", "384x288") if task == "classify" else STREETS
    render(SceneSetOptions(source=source, task=task, images=50, out=folder))  # type: ignore[arg-type]
    if task != "classify":
        data = read_dataset(folder / "data.yaml", task)
        kept = [image for image in data.train if is_large(image, 0.2)]
    else:
        data = read_dataset(folder, task)
        by_class = ([image for image in data.train if image.label.name == name] for name in ("car", "person"))
        kept = [image for images in by_class for image in images[: IMAGES // 2]]
    assert len(kept) >= IMAGES
    return Dataset(data.path, data.class_names, tuple(kept[:IMAGES]), (), data.kpt_shape)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("task", "epochs", "lr0", "most_left", "bars"),
    [
        ("segment", 12, 0.006, 0.3, {"map50": 0.9, "masks_map50": 0.9}),
        ("pose", 16, 0.008, 0.4, {"map50": 0.9, "keypoints_map50": 0.8}),
        ("obb", 9, 0.012, 0.3, {"map50": 0.9}),
        ("classify", 9, 0.004, 0.3, {"top1": 0.99}),
    ],
)
def test_rendered_streets(
    tmp_path: Path, task: str, epochs: int, lr0: float, most_left: float, bars: dict[str, float]
) -> None:
    scores, left = learned(rendered(tmp_path / "street", task), HEADS[task], tmp_path / "out", epochs, lr0=lr0)
    assert left < most_left
    assert all(scores[name] > bar for name, bar in bars.items()), scores
