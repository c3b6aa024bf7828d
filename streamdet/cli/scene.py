"""``streamdet scene``: renders streets into a data set whose labels are exact."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rich.progress import track

from streamdet.cli.console import stderr
from streamdet.cli.options import SceneSetOptions
from streamdet.data.folder import LabelFolder, write_jpeg
from streamdet.errors import InputError
from streamdet.files import path_kind
from streamdet.scene.dataset import POSE_KEYS, STREETS, View, class_names, crops, label_lines, views
from streamdet.scene.scene import parse_scene_url

_MODELS = {
    "detect": "yolov8n",
    "segment": "yolov8n-seg",
    "pose": "yolov8n-pose",
    "obb": "yolov8n-obb",
    "classify": "yolov8n-cls",
}


class _Written(NamedTuple):
    data: Path  # for streamdet train
    images: int
    objects: int


def run(options: SceneSetOptions) -> None:
    """Render and write the images with their labels; raises InputError for a wrong URL, or if --out holds files."""
    first = parse_scene_url(options.source or STREETS)
    if path_kind(options.out) == "file" or any(options.out.glob("*")):
        raise InputError(f"expected a new or empty folder for --out, but {options.out} is none")
    rendered = track(
        views(first, options.images),
        "rendering",
        options.images,
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )
    written = (_write_crops if options.task == "classify" else _write_labelled)(options, rendered)
    if not written.images:
        raise InputError(f"expected objects to label in {options.images} frames, found none: render more, or a crowd")
    stderr.print(f"wrote {written.images} images of {written.objects} objects", markup=False, soft_wrap=True)
    command = f"streamdet train {written.data} --model {_MODELS[options.task]}"
    stderr.print(f"now train on them: {command}", markup=False, soft_wrap=True)


def _write_labelled(options: SceneSetOptions, rendered: Iterable[View]) -> _Written:
    """Write the frames that show an object of the task, with the label file of each."""
    folder = LabelFolder(options.out, class_names(options.task), **(POSE_KEYS if options.task == "pose" else {}))
    objects = 0
    for view in rendered:
        if lines := label_lines(view, options.task):
            folder.write(view.name, view.split, view.image, lines)
            objects += len(lines)
    return _Written(folder.data_file, folder.written, objects)


def _write_crops(options: SceneSetOptions, rendered: Iterable[View]) -> _Written:
    """Write what the boxes of objects show, in a folder for each class; a class is validated if it is trained."""
    count = 0
    for view in rendered:
        for class_name, name, image in crops(view):
            folder = options.out / view.split / class_name
            if view.split == "train" or (options.out / "train" / class_name).exists():
                folder.mkdir(parents=True, exist_ok=True)
                write_jpeg(folder / f"{name}.jpg", image)
                count += 1
    return _Written(options.out, count, count)
