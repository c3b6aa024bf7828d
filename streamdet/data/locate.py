"""Where the images that a data file names are, and their label files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import glob, has_magic
from itertools import chain
from pathlib import Path

from streamdet.data.images import is_image_file
from streamdet.errors import InputError
from streamdet.files import read_text

_MAX_SHOWN = 200  # characters of a path in a message
MAX_LIST_BYTES = 128 << 20  # a million images; a larger file is something else than a list


def images_at(folder: Path, entry: str) -> list[Path]:
    """Return the images that `entry` names, relative to `folder`; raises InputError when nothing is there.

    - A folder: all images in it, in its folders and in linked ones, sorted by path.
    - A text file: an image in each line, relative to the file, or to `folder` if only there is one; in its order.
    - An image, or a pattern of folders and images such as ``cameras/*/images``.

    Roboflow exports ``../train/images`` for the folder ``train/images`` beside the data file: it is taken if nothing is
    at the place that is stated.
    """
    for stated in dict.fromkeys((entry, entry.removeprefix("../"))):
        place = folder / stated
        try:
            if place.is_dir():
                return sorted(_below(place))
            if place.is_file():
                return [place] if is_image_file(place) else list(_listed(place, folder))
        except OSError as error:
            raise InputError(f"{_shown(place)} cannot be read: {error.strerror}") from None
        if has_magic(stated) and (matches := _matches(folder, stated)):
            return matches
    raise InputError(
        f"{_shown(folder / entry)}: expected a folder of images or a text file that lists them, found nothing there"
    )


def label_path(image: Path) -> Path:
    """Return where the label file of `image` belongs: its last folder ``images`` is replaced by ``labels``."""
    parts = list(image.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def find_label(image: Path) -> Path:
    """Return the label file of `image`, or the path where it belongs if there is none.

    It is looked for at `label_path`, at that of the file that a link leads to, and beside the image.
    """
    belongs = label_path(image)
    if exists(belongs):
        return belongs
    others = label_path(Path(os.path.realpath(image))), image.with_suffix(".txt")
    return next(filter(exists, others), belongs)


def exists(path: Path) -> bool:
    """Return whether something is at `path`; False for a path that no file can have."""
    try:
        return path.exists()
    except OSError:
        return False


def _shown(place: Path) -> str:
    """Return a path for a message; one that is too long to read is cut."""
    text = str(place)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _below(folder: Path) -> Iterator[Path]:
    """Yield the images below `folder`, those of linked folders last; a folder counts once, so that a loop ends."""
    seen, tops = set[str](), [folder]
    while tops:
        links: list[Path] = []
        for place, folders, files in (found for top in tops for found in os.walk(top, onerror=_refuse)):
            real = os.path.realpath(place)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            links += [link for name in folders if (link := Path(place, name)).is_symlink()]
            yield from filter(is_image_file, (Path(place, name) for name in files))
        tops = sorted(links)


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: expected a folder of images, but it cannot be read: {error.strerror}")


def _listed(file: Path, folder: Path) -> Iterator[Path]:
    """Yield the images in the lines of a text file; raises InputError for a file that is no text."""
    if file.stat().st_size > MAX_LIST_BYTES:
        raise InputError(f"{file}: expected a list of images of at most {MAX_LIST_BYTES >> 20} MB, found a larger file")
    try:
        text = read_text(file)
    except UnicodeDecodeError:
        text = file.read_text("latin-1")  # which older editors on Windows write
    if "\0" in text:
        raise InputError(f"{file}: expected a folder of images or a text file that lists them, found another file")
    for line in filter(None, map(str.strip, text.splitlines())):
        beside, below = file.parent / line, folder / line
        yield below if exists(below) and not exists(beside) else beside


def _matches(folder: Path, pattern: str) -> list[Path]:
    """Return the images, and those in the folders, that match a pattern, relative to `folder` or absolute."""
    places = sorted(folder / place for place in glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
    images = (sorted(_below(place)) if place.is_dir() else [place] for place in places)
    return [image for image in dict.fromkeys(chain.from_iterable(images)) if is_image_file(image)]
