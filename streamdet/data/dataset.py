"""The data file of a training: the places of the images, the class names, and the classes that are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamdet.data.labels import BOXES, Fault, LabelFormat, Objects, read_labels
from streamdet.data.locate import find_label, images_at
from streamdet.errors import MAX_SHOWN, InputError, closest, shown
from streamdet.files import user_path
from streamdet.yaml_file import read_yaml

Split = Literal["train", "val"]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image file and its label file, which need not exist.

    - `labelled`: by class id whether the image is labelled for the class.
    - `form`: what the lines of the label file state.
    - `class_ids`: by class id of the label file that of the data set, -1 for objects that are left out; None if all are
      the same.
    """

    image: Path
    label: Path
    labelled: tuple[bool, ...]
    form: LabelFormat = BOXES
    class_ids: tuple[int, ...] | None = None

    def read_labels(self) -> tuple[Objects, list[Fault]]:
        """Return the objects in the label file and its faults, see `streamdet.data.labels.read_labels`."""
        objects, faults = read_labels(self.label, len(self.class_ids or self.labelled), self.form)
        return objects.renumbered(self.class_ids) if self.class_ids else objects, faults


@dataclass(frozen=True, slots=True)
class ClassifiedImage(LabelledImage):
    """An image file whose folder, the `label`, names its class: one object, as large as the image."""

    class_id: int = 0

    def read_labels(self) -> tuple[Objects, list[Fault]]:
        """Return the object, and no faults."""
        return Objects(np.array([self.class_id]), np.array([[0, 0, 1, 1]], np.float32), np.array([0])), []


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set: names by class id, and the images of both splits in the order of the entries of its data file.

    The images of a folder are sorted by path, those of a text file keep its order. `kpt_shape` is (K, D) if K key
    points of D numbers are labelled.
    """

    path: Path
    class_names: tuple[str, ...]
    train: tuple[LabelledImage, ...]
    val: tuple[LabelledImage, ...]
    kpt_shape: tuple[int, int] | None = None


class _DataFile(BaseModel):
    """The keys of a data file; other keys, for other software, are ignored."""

    model_config = ConfigDict(extra="ignore")

    path: Path | None = None
    train: str | list[str]
    val: str | list[str] | None = None
    names: list[str] | dict[int, str] = []
    nc: int | None = None
    kpt_shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=2, le=3)]] | None = None
    flip_idx: tuple[int, ...] | None = None
    labelled: dict[str, list[str]] = {}


def read_dataset(path: Path, task: str = "detect") -> Dataset:
    """Return the data set for a `task` that the YAML file at `path` states; raises InputError for a malformed file.

    For the task classify `path` is a folder instead, with a folder of images per class in its folders ``train`` and,
    if there are images to validate with, ``val``. In the file:

    - ``path``: the folder that entries are relative to, itself relative to the file.
    - ``train``, ``val``: an entry or a list of them, each a folder of images, a text file with one image per line, an
      image or a pattern, see `images_at`. See `find_label` for the places of the labels.
    - ``names``: the class names, in a list or by class id; ``nc``, their number, may be left out.
    - ``kpt_shape: [K, D]``: K key points of D numbers, 2 or 3, follow each box in the labels; only the task pose reads
      them. ``flip_idx``: the key point that each becomes in a mirrored image; without it no image is mirrored.
    - ``labelled: {ENTRY: [class, ...]}``: the classes that an entry is labelled for; by default all.
    """
    if task == "classify":
        return _class_folders(path)
    stated = _read(path)
    names = _class_names(path, stated)
    entries = {split: _entries(getattr(stated, split)) for split in ("train", "val")}
    for entry in stated.labelled:
        known = [other for split in entries.values() for other in split]
        if entry not in known:
            raise InputError(f"{path}: labelled names {shown(entry)}, which is no entry of it{closest(entry, known)}")
    folder, form, shared = _folder(path, stated), _label_format(path, stated, task), (True,) * len(names)
    masks = {entry: _mask(path, "labelled", names, classes) for entry, classes in stated.labelled.items()}
    train, val = (
        tuple(
            LabelledImage(image, find_label(image), masks.get(entry, shared), form)
            for entry in entries[split]
            for image in images_at(folder, entry)
        )
        for split in ("train", "val")
    )
    if not train:
        raise InputError(f"{path}: expected images to train with, found none in {folder}")
    return Dataset(path, tuple(names), train, val, stated.kpt_shape)


def chosen_part(
    data: Dataset,
    *,
    fraction: float = 1.0,
    classes: Sequence[int | str] | None = None,
    single_cls: bool = False,
) -> Dataset:
    """Return a part of `data` to train and validate with; raises InputError for what it does not have.

    - `fraction` of the training images, at least one, spread evenly over all.
    - Only the objects of the `classes`, by name or number; the class names stay. Objects of others are background, and
      whole images of other classes are left out.
    - With `single_cls` all these objects are of one class, for which an image is labelled if it is for all of them; it
      is called ``item``, or as the only one of the classes.
    """
    is_chosen = (True,) * len(data.class_names)
    if classes is not None:
        numbers = {str(class_id): name for class_id, name in enumerate(data.class_names)}
        named = [name if name in data.class_names else numbers.get(name, name) for name in map(str, classes)]
        is_chosen = _mask(data.path, "classes", data.class_names, named)
    if single_cls and isinstance(data.train[0], ClassifiedImage):
        raise InputError("single_cls: expected false for whole images, which a single class cannot tell apart")
    places = np.linspace(0, len(data.train) - 1, max(round(fraction * len(data.train)), 1)).round().astype(int)
    some = tuple(data.train[place] for place in places)
    if all(is_chosen) and not single_cls:
        return replace(data, train=some)
    train, val = (
        tuple(_with_classes(image, is_chosen, single_cls) for image in images if _shows(image, is_chosen))
        for images in (some, data.val)
    )
    chosen = tuple(name for name, is_one in zip(data.class_names, is_chosen, strict=True) if is_one)
    single = chosen if len(chosen) == 1 else ("item",)
    return replace(data, class_names=single if single_cls else data.class_names, train=train, val=val)


def _with_classes(image: LabelledImage, is_chosen: Sequence[bool], single_cls: bool) -> LabelledImage:
    """Return the image with its objects of the classes that are chosen, by class id."""
    class_ids = tuple((0 if single_cls else own) if chosen else -1 for own, chosen in enumerate(is_chosen))
    if not single_cls:
        return replace(image, class_ids=class_ids)
    whole = all(labelled for labelled, chosen in zip(image.labelled, is_chosen, strict=True) if chosen)
    return replace(image, class_ids=class_ids, labelled=(whole,))


def _shows(image: LabelledImage, is_chosen: Sequence[bool]) -> bool:
    """Return False for a whole image of a class that is not chosen."""
    return not isinstance(image, ClassifiedImage) or is_chosen[image.class_id]


def _label_format(path: Path, stated: _DataFile, task: str) -> LabelFormat:
    """Return what the label files state; raises InputError for key points that a pose cannot have."""
    if stated.kpt_shape is None:
        if task == "pose":
            raise InputError(
                f"{path}: expected kpt_shape such as [17, 3], which the key points of poses need, found none"
            )
        return LabelFormat(task)
    count, flip_idx = stated.kpt_shape[0], stated.flip_idx or ()
    if flip_idx and [flip_idx[each] if 0 <= each < len(flip_idx) else -1 for each in flip_idx] != list(range(count)):
        raise InputError(
            f"{path}: expected flip_idx to exchange key points 0 to {count - 1} in pairs, found {shown(list(flip_idx))}"
        )
    return LabelFormat(task, stated.kpt_shape, flip_idx)


def _class_folders(path: Path) -> Dataset:
    """Return the data set in the folder `path`, which has a folder of images per class in ``train`` and ``val``."""
    if not (path / "train").is_dir():
        raise InputError(f"{path}: expected a folder with train/CLASS/IMAGE, which classification needs, found none")
    names = sorted(folder.name for folder in (path / "train").iterdir() if folder.is_dir())
    splits: dict[str, list[LabelledImage]] = {"train": [], "val": []}
    for split, images in splits.items():
        for folder in sorted(filter(Path.is_dir, (path / split).glob("*"))):
            if folder.name not in names:
                raise InputError(f"{folder}: expected a class that train has a folder for{closest(folder.name, names)}")
            found = images_at(path, f"{split}/{folder.name}")
            if not found:
                raise InputError(f"{folder}: expected images of the class, found none")
            class_id, labelled = names.index(folder.name), (True,) * len(names)
            images += [ClassifiedImage(image, folder, labelled, class_id=class_id) for image in found]
    if not splits["train"]:
        raise InputError(f"{path}: expected images to train with, found none in {path / 'train'}")
    return Dataset(path, tuple(names), tuple(splits["train"]), tuple(splits["val"]))


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


def _mask(path: Path, key: str, names: Sequence[str], stated: Sequence[str]) -> tuple[bool, ...]:
    """Return by class id whether the class is one of those `stated` as `key`; raises InputError for an unknown one."""
    for name in stated:
        if name not in names:
            raise InputError(f"{path}: {key} names the class {shown(name)}{closest(name, names)}")
    return tuple(name in stated for name in names)
