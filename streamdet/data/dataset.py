"""The data file of a training: the places of the images, the class names, and the classes that are labelled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamdet.data.labels import Fault, Objects, read_labels
from streamdet.data.locate import find_label, images_at
from streamdet.errors import MAX_SHOWN, InputError, closest, shown
from streamdet.files import user_path
from streamdet.yaml_file import read_yaml

Split = Literal["train", "val"]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image file and its label file, which need not exist.

    - `labelled`: by class id whether the image is labelled for the class.
    - `keypoint_values`: how many numbers follow a box in the label file, the key points of a pose.
    """

    image: Path
    label: Path
    labelled: tuple[bool, ...]
    keypoint_values: int = 0

    def read_labels(self) -> tuple[Objects, list[Fault]]:
        """Return the objects in the label file and its faults, see `streamdet.data.labels.read_labels`."""
        return read_labels(self.label, len(self.labelled), self.keypoint_values)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set: names by class id, and the images of both splits in the order of the entries of its data file.

    The images of a folder are sorted by path, those of a text file keep its order.
    """

    path: Path
    class_names: tuple[str, ...]
    train: tuple[LabelledImage, ...]
    val: tuple[LabelledImage, ...]


class _DataFile(BaseModel):
    """The keys of a data file; other keys, for other software, are ignored."""

    model_config = ConfigDict(extra="ignore")

    path: Path | None = None
    train: str | list[str]
    val: str | list[str] | None = None
    names: list[str] | dict[int, str] = []
    nc: int | None = None
    kpt_shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=2, le=3)]] | None = None
    labelled: dict[str, list[str]] = {}


def read_dataset(path: Path) -> Dataset:
    """Return the data set that the YAML file at `path` states; raises InputError for a malformed file.

    - ``path``: the folder that entries are relative to, itself relative to the file.
    - ``train``, ``val``: an entry or a list of them, each a folder of images, a text file with one image per line, an
      image or a pattern, see `images_at`. See `find_label` for the places of the labels.
    - ``names``: the class names, in a list or by class id; ``nc``, their number, may be left out.
    - ``kpt_shape: [K, D]``: K key points of D numbers, 2 or 3, follow each box in the labels; they are left out.
    - ``labelled: {ENTRY: [class, ...]}``: the classes that an entry is labelled for; by default all.
    """
    stated = _read(path)
    names = _class_names(path, stated)
    entries = {split: _entries(getattr(stated, split)) for split in ("train", "val")}
    for entry in stated.labelled:
        known = [other for split in entries.values() for other in split]
        if entry not in known:
            raise InputError(f"{path}: labelled names {shown(entry)}, which is no entry of it{closest(entry, known)}")
    folder, points, shared = _folder(path, stated), math.prod(stated.kpt_shape or (0,)), (True,) * len(names)
    masks = {entry: _mask(path, names, classes) for entry, classes in stated.labelled.items()}
    train, val = (
        tuple(
            LabelledImage(image, find_label(image), masks.get(entry, shared), points)
            for entry in entries[split]
            for image in images_at(folder, entry)
        )
        for split in ("train", "val")
    )
    if not train:
        raise InputError(f"{path}: expected images to train with, found none in {folder}")
    return Dataset(path, tuple(names), train, val)


def _read(path: Path) -> _DataFile:
    try:
        return _DataFile.model_validate(read_yaml(path, "a data file", as_written=("names", "labelled")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:MAX_SHOWN] or "the top"
        raise InputError(f"{path}: {where}: {first['msg']}") from None


def _class_names(path: Path, stated: _DataFile) -> list[str]:
    names = stated.names if isinstance(stated.names, list) else [name for _, name in sorted(stated.names.items())]
    if isinstance(stated.names, dict) and sorted(stated.names) != list(range(len(names))):
        raise InputError(f"{path}: expected class names numbered from 0, found {shown(sorted(stated.names))}")
    if not names or (stated.nc is not None and stated.nc != len(names)):
        raise InputError(f"{path}: expected names for {stated.nc or 'the'} classes, found {len(names)}")
    if len(set(names)) < len(names):
        raise InputError(f"{path}: expected every class name once, found {shown(max(names, key=names.count))} again")
    return names


def _folder(path: Path, stated: _DataFile) -> Path:
    return path.parent / user_path(stated.path or "")


def _entries(stated: str | list[str] | None) -> list[str]:
    return [] if stated is None else [stated] if isinstance(stated, str) else stated


def _mask(path: Path, names: list[str], labelled: list[str]) -> tuple[bool, ...]:
    """Return by class id whether the class is one of the names in `labelled`."""
    for name in labelled:
        if name not in names:
            raise InputError(f"{path}: labelled names the class {shown(name)}{closest(name, names)}")
    return tuple(name in labelled for name in names)
