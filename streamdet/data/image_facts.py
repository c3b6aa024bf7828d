"""Examines the images of a data set, on all cores, and remembers what was found: a second look is instant."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamdet.data import images
from streamdet.data.images import ImageFacts, examine
from streamdet.files import cache_folder
from streamdet.machine import core_count

_Stamp = tuple[int, int]  # size in bytes, time of the last change in ns


def examine_all(paths: Iterable[Path], name: Path, on_image: Callable[[], object] = lambda: None) -> list[ImageFacts]:
    """Return the facts of the images at `paths`, remembered for the data set called `name`.

    An image whose size or time of change is new is examined again. `on_image` is called after each image.
    """
    entry = _entry(name)
    known = _read(entry)

    def facts(path: Path) -> ImageFacts:
        stamp = _stamp(path)
        remembered = known.get(str(path))
        if remembered is None or remembered[0] != stamp:
            remembered = known[str(path)] = (stamp, examine(path))
        on_image()
        return remembered[1]

    before = dict(known)
    with ThreadPoolExecutor(core_count()) as pool:
        found = list(pool.map(facts, (path.absolute() for path in paths)))
    if known != before:
        with suppress(OSError):
            _write(entry, known)
    return found


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _entry(name: Path) -> Path:
    """Return the file that remembers, named by the data set and the code that examines."""
    key = hashlib.sha256(Path(images.__file__).read_bytes() + str(name.absolute()).encode())
    return cache_folder("datasets") / f"{key.hexdigest()[:32]}.json"


def _read(entry: Path) -> dict[str, tuple[_Stamp | None, ImageFacts]]:
    """Return what is remembered; nothing where the file is missing or damaged."""
    try:
        stored: dict[str, Any] = json.loads(entry.read_bytes())
        return {path: (tuple(stamp) if stamp else None, ImageFacts(*facts)) for path, (stamp, facts) in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(entry: Path, known: dict[str, tuple[_Stamp | None, ImageFacts]]) -> None:
    """Write under another name and rename, so that no other process ever reads half of it."""
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=entry.parent, suffix=".partial", delete=False) as file:
        try:
            json.dump(known, file)
            file.close()
            Path(file.name).replace(entry)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
