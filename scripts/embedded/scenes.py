"""Renders streets for training: square crops of frames, of the size in which camera pictures are detected."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import yaml

from streamdet.data.labels import format_label
from streamdet.scene.scene import Scene, SceneOptions
from streamdet.scene.truth import SceneTruth
from streamdet.types import UInt8Array

# Seeds below these are left for tests, the demo and benchmarks.
SEEDS = range(10_000, 10_250)
FRAMES = 8  # of each scene, spread over its length
SIDE_PX = 384
LEAST_VISIBLE = 0.35

_SIZES = ((640, 360), (640, 480), (768, 432))
_TIMES = ("day", "day", "day", "dusk", "night")
_WEATHERS = ("clear", "clear", "clear", "clear", "rain", "snow", "fog")
_CAMERAS = ("fixed", "pan", "shake", "handheld")
_CROWDS = ("some", "many", "many")


def render(data: Path) -> None:
    """Add the scenes to the data set in the folder `data`, as ``data-scenes.yaml``; complete scenes are skipped."""
    images, labels = data / "images" / "scenes", data / "labels" / "scenes"
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        last = images / f"{seed}-{FRAMES - 1}.jpg"
        if not last.exists():
            _render_scene(seed, images, labels)
    stated = yaml.safe_load((data / "data.yaml").read_text(encoding="utf-8"))
    stated["train"].append("images/scenes")
    (data / "data-scenes.yaml").write_text(yaml.safe_dump(stated, sort_keys=False), encoding="utf-8")


def _render_scene(seed: int, images: Path, labels: Path) -> None:
    rng = np.random.default_rng(seed)
    chosen = {name: _choose(rng, values) for name, values in (("time", _TIMES), ("weather", _WEATHERS))}
    chosen |= {name: _choose(rng, values) for name, values in (("camera", _CAMERAS), ("crowd", _CROWDS))}
    size = _SIZES[int(rng.integers(len(_SIZES)))]
    scene = Scene(SceneOptions(seed=seed, seconds=Fraction(40), fps=Fraction(1), size=size, **chosen))
    for number in range(FRAMES):
        image, truth = scene.render(int((number + rng.random()) * scene.frame_count / FRAMES))
        crop, lines = _crop(image, truth, rng)
        (labels / f"{seed}-{number}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
        cv2.imwrite(str(images / f"{seed}-{number}.jpg"), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), quality)


def _crop(image: UInt8Array, truth: SceneTruth, rng: np.random.Generator) -> tuple[UInt8Array, list[str]]:
    """Return a square of the image around one of its objects, and the label lines of the objects visible in it."""
    height, width = image.shape[:2]
    side = min(SIDE_PX, height)
    seen = truth.boxes[truth.visible >= LEAST_VISIBLE]
    center = rng.uniform((0, 0), (width, height))
    if len(seen):
        box = seen[int(rng.integers(len(seen)))]
        center = (box[:2] + box[2:]) / 2 + rng.uniform(-side / 3, side / 3, 2)
    x, y = (int(np.clip(c - side / 2, 0, whole - side)) for c, whole in zip(center, (width, height), strict=True))
    lines = []
    for class_id, box, visible in zip(truth.class_ids, truth.boxes, truth.visible, strict=True):
        moved = (box - np.array([x, y, x, y], np.float32)).clip(0, side).astype(np.float32)
        shown = float(np.prod(moved[2:] - moved[:2]) / max(np.prod(box[2:] - box[:2]), 1e-6))
        if visible >= LEAST_VISIBLE and shown >= LEAST_VISIBLE:
            lines.append(format_label(int(class_id), moved, (side, side)))
    return image[y : y + side, x : x + side], lines


def _choose(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]
