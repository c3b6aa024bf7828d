"""The data file of a training: where the images are, what the classes are called, and who labelled what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from streamdet.data.images import IMAGE_SUFFIXES
from streamdet.errors import InputError, closest

Split = Literal["train", "val"]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image file, its label file, which need not exist, and which classes it is labelled for, bool by class id."""

    image: Path
    label: Path
    labelled: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set: names by class id, and the images of both splits, in the order of their entries, then by name."""

    path: Path
    class_names: tuple[str, ...]
    train: tuple[LabelledImage, ...]
    val: tuple[LabelledImage, ...]


class _DataFile(BaseModel):
    """The keys of a data file; others, which peers read, are left alone."""

    model_config = ConfigDict(extra="ignore")

    path: Path = Path()
    train: str | list[str]
    val: str | list[str] | None = None
    names: list[str] | dict[int, str]
    nc: int | None = None
    labelled: dict[str, list[str]] = {}


def read_dataset(path: Path) -> Dataset:
    """Return what the YAML file at `path` states; raises InputError.

    ``path`` is the folder that entries are relative to, itself relative to the file. An entry of ``train`` and ``val``
    is a folder of images or a text file with one image per line; labels lie beside, ``images`` replaced by ``labels``.
    ``labelled: {ENTRY: [class, ...]}`` names the classes that an entry is labelled for; without it, it is all.
    """
    stated = _read(path)
    names = stated.names if isinstance(stated.names, list) else [name for _, name in sorted(stated.names.items())]
    if isinstance(stated.names, dict) and sorted(stated.names) != list(range(len(names))):
        raise InputError(f"{path}: expected class names numbered from 0, found {sorted(stated.names)}")
    if not names or (stated.nc is not None and stated.nc != len(names)):
        raise InputError(f"{path}: expected names for {stated.nc or 'the'} classes, found {len(names)}")
    if len(set(names)) < len(names):
        raise InputError(f"{path}: expected every class name once, found {max(names, key=names.count)!r} again")
    entries = {split: _entries(getattr(stated, split)) for split in ("train", "val")}
    for entry in stated.labelled:
        known = [other for split in entries.values() for other in split]
        if entry not in known:
            raise InputError(f"{path}: labelled names {entry!r}, which is no entry of it{closest(entry, known)}")
    folder = path.parent / stated.path.expanduser()
    masks = {entry: _mask(path, names, of) for entry, of in stated.labelled.items()}
    whole = (True,) * len(names)
    train, val = (
        tuple(image for entry in entries[split] for image in _images(folder / entry, masks.get(entry, whole)))
        for split in ("train", "val")
    )
    if not train:
        raise InputError(f"{path}: expected images to train with, found none in {folder}")
    return Dataset(path, tuple(names), train, val)


def label_path(image: Path) -> Path:
    """Return where the labels of `image` are looked for: its last folder ``images`` replaced by ``labels``."""
    parts = list(image.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _read(path: Path) -> _DataFile:
    try:
        stated: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _DataFile.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        raise InputError(f"{path}: {where}: {first['msg']}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{path}: expected a data file in YAML, but it cannot be read: {reason}") from None


def _entries(stated: str | list[str] | None) -> list[str]:
    return [] if stated is None else [stated] if isinstance(stated, str) else stated


def _mask(path: Path, names: list[str], labelled: list[str]) -> tuple[bool, ...]:
    for name in labelled:
        if name not in names:
            raise InputError(f"{path}: labelled names the class {name!r}{closest(name, names)}")
    return tuple(name in labelled for name in names)


def _images(entry: Path, labelled: tuple[bool, ...]) -> Iterator[LabelledImage]:
    if entry.is_dir():
        images = [file for file in sorted(entry.rglob("*")) if file.suffix.lower() in IMAGE_SUFFIXES]
    elif entry.is_file():
        images = [entry.parent / line.strip() for line in entry.read_text("utf-8").splitlines() if line.strip()]
    else:
        raise InputError(f"{entry}: expected a folder of images or a text file that lists them, found nothing there")
    for image in images:
        yield LabelledImage(image, label_path(image), labelled)
