"""Renders streets for training: square crops of frames, as a camera sees a street, and close to one of its objects."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import yaml

from streamdet.data.labels import format_label
from streamdet.scene.scene import Scene, SceneOptions
from streamdet.scene.truth import SceneTruth
from streamdet.types import Float32Array, Float64Array, UInt8Array

# Seeds below these are left for tests, the demo and benchmarks.
SEEDS = range(10_000, 10_100)
FRAMES = 8  # of each scene, spread over its length
SIDE_PX = 384
SCENES = "data-scenes.yaml"
LEAST_VISIBLE = 0.35
# A close crop is this many heights of an object large: head and shoulders, a half figure, a figure, a group.
_CLOSE_HEIGHTS = (0.4, 2.0)
_LEAST_CLOSE_PX = 96
# The least part of an object in a close crop, of which it may show the head alone.
_LEAST_SHOWN_CLOSE = 0.12

_SIZES = ((640, 360), (768, 432), (1280, 720), (1920, 1080))
_TIMES = ("day", "day", "day", "dusk", "night")
_WEATHERS = ("clear", "clear", "clear", "clear", "rain", "snow", "fog")
_CAMERAS = ("fixed", "pan", "shake", "handheld", "handheld")
_CROWDS = ("some", "many", "many")


def render(data: Path) -> None:
    """Add the scenes to the data set in the folder `data`, as the data file SCENES; complete scenes are skipped."""
    images, labels = data / "images" / "scenes", data / "labels" / "scenes"
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        last = images / f"{seed}-{FRAMES - 1}.jpg"
        if not last.exists():
            _render_scene(seed, images, labels)
    stated = yaml.safe_load((data / "data.yaml").read_text(encoding="utf-8"))
    stated["train"].append("images/scenes")
    (data / SCENES).write_text(yaml.safe_dump(stated, sort_keys=False), encoding="utf-8")


def _render_scene(seed: int, images: Path, labels: Path) -> None:
    rng = np.random.default_rng(seed)
    chosen = {name: _choose(rng, values) for name, values in (("time", _TIMES), ("weather", _WEATHERS))}
    chosen |= {name: _choose(rng, values) for name, values in (("camera", _CAMERAS), ("crowd", _CROWDS))}
    size = _SIZES[int(rng.integers(len(_SIZES)))]
    scene = Scene(SceneOptions(seed=seed, seconds=Fraction(40), fps=Fraction(1), size=size, **chosen))
    for number in range(FRAMES):
        image, truth = scene.render(int((number + rng.random()) * scene.frame_count / FRAMES))
        # Every other frame of a large picture shows something close.
        crop = _close_crop if size[0] > 2 * SIDE_PX and number % 2 else _street_crop
        shown, lines = crop(image, truth, rng)
        (labels / f"{seed}-{number}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
        cv2.imwrite(str(images / f"{seed}-{number}.jpg"), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), quality)


def _street_crop(image: UInt8Array, truth: SceneTruth, rng: np.random.Generator) -> tuple[UInt8Array, list[str]]:
    """Return a square around one of the objects, as a street camera shows it, and the label lines of what it shows."""
    side = min(SIDE_PX, image.shape[0])
    box = _seen_box(image, truth, rng)
    return _crop(image, truth, (box[:2] + box[2:]) / 2 + rng.uniform(-side / 3, side / 3, 2), side, LEAST_VISIBLE)


def _close_crop(image: UInt8Array, truth: SceneTruth, rng: np.random.Generator) -> tuple[UInt8Array, list[str]]:
    """Return a square that one of the objects fills, or a part of it, and the label lines of what it shows."""
    box = _seen_box(image, truth, rng)
    side = int(np.clip((box[3] - box[1]) * rng.uniform(*_CLOSE_HEIGHTS), _LEAST_CLOSE_PX, image.shape[0]))
    # The head of a figure, not its feet, is what a narrow view shows.
    center = np.array([(box[0] + box[2]) / 2, min(box[1] + 0.45 * side, (box[1] + box[3]) / 2)])
    return _crop(image, truth, center + rng.uniform(-side / 8, side / 8, 2), side, _LEAST_SHOWN_CLOSE)


def _seen_box(image: UInt8Array, truth: SceneTruth, rng: np.random.Generator) -> Float32Array:
    """Return the box xyxy of one of the visible objects, that of a random point without any."""
    seen = truth.boxes[truth.visible >= LEAST_VISIBLE]
    if len(seen):
        box: Float32Array = seen[int(rng.integers(len(seen)))]
        return box
    height, width = image.shape[:2]
    return np.tile(rng.uniform((0, 0), (width, height)), 2).astype(np.float32)


def _crop(
    image: UInt8Array, truth: SceneTruth, center: Float64Array, side: int, least_shown: float
) -> tuple[UInt8Array, list[str]]:
    """Return the square of `side` px around `center`, at most SIDE_PX large, and the label lines of its objects."""
    height, width = image.shape[:2]
    x, y = (int(np.clip(c - side / 2, 0, whole - side)) for c, whole in zip(center, (width, height), strict=True))
    lines = []
    for class_id, box, visible in zip(truth.class_ids, truth.boxes, truth.visible, strict=True):
        moved = (box - np.array([x, y, x, y], np.float32)).clip(0, side).astype(np.float32)
        shown = float(np.prod(moved[2:] - moved[:2]) / max(np.prod(box[2:] - box[:2]), 1e-6))
        if visible >= LEAST_VISIBLE and shown >= least_shown:
            lines.append(format_label(int(class_id), moved, (side, side)))
    crop = image[y : y + side, x : x + side]
    if side > SIDE_PX:
        crop = np.asarray(cv2.resize(crop, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    return crop, lines


def _choose(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]
