"""Where the results of a run go, and what is there already: no result is lost, and an unfinished one is known."""

from __future__ import annotations

import itertools
import re
import stat
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamdet.cli.console import agreed
from streamdet.errors import InputError
from streamdet.files import PARTIAL
from streamdet.options import OutputOptions
from streamdet.output_file import STANDARD_OUTPUT
from streamdet.video.location import files_at

_NAME_LENGTH = 200  # of results, which leaves room for a number and an ending in the 255 bytes of a file's name


@dataclass(frozen=True, slots=True)
class Places:
    """Where the results of one source go.

    - `pictures`: videos, and for images also an image or a folder of images.
    - `tracks`: track files.
    - `explain`: the file of the reasons behind the tracks.
    - `crops`: the folder of the best crops.
    """

    pictures: tuple[Path, ...] = ()
    tracks: tuple[Path, ...] = ()
    explain: Path | None = None
    crops: Path | None = None

    @classmethod
    def named(cls, options: OutputOptions) -> Places:
        """Return the places that the options name."""
        return cls(options.out, options.tracks, options.explain, options.crops)

    @property
    def all(self) -> list[Path]:
        """All of them, in the order in which they are told."""
        return [*self.pictures, *self.tracks, *(path for path in (self.explain, self.crops) if path)]

    @property
    def taken(self) -> list[Path]:
        """Those that hold something which a run would replace."""
        return [path for path in self.all if _holds_something(path)]

    @property
    def finished(self) -> bool:
        """Whether a run has written all of them to its end, see `mark`."""
        mark = self._mark
        return bool(self.all) and all(map(_is_result, self.all)) and not (mark and mark.exists())

    def mark(self) -> None:
        """Mark the results, which exist by now, as unfinished, by an empty file beside the first: ``out.mp4.part``.

        It outlives a process that is killed, and tells those results apart from finished ones, which also play.
        """
        if self._mark and _is_result(self.all[0]):
            with suppress(OSError):  # without it, results are taken for finished ones
                self._mark.touch()

    def unmark(self) -> None:
        """Remove the mark: the results are finished, or were removed."""
        if self._mark:
            with suppress(OSError):
                self._mark.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path | None:
        first = next(iter(self.all), STANDARD_OUTPUT)
        return None if first == STANDARD_OUTPUT else first.with_name(f"{first.name}{PARTIAL}")


def require_apart(places: Places, source: str) -> None:
    """Raise InputError if a folder that is written holds the files of `source`, which could be replaced."""
    read = {path.resolve().parent for path in files_at(source)}
    for folder in (path for path in (*places.pictures, places.crops) if path and path.is_dir()):
        if folder.resolve() in read:
            raise InputError(f"expected a folder of its own for the results, but {folder} holds the source")


def require_agreement(places: Iterable[Places], options: OutputOptions) -> None:
    """Ask a person whether what is at `places` may be replaced, unless an option says so.

    Raises InputError when nobody is there to ask, or the answer is no.
    """
    taken = [path for each in places for path in each.taken]
    if not taken or options.overwrite or options.skip_existing:
        return
    what, them = (f"{taken[0]} exists", "it") if len(taken) == 1 else (f"{len(taken)} such as {taken[0]} exist", "them")
    if not agreed(f"{what}: replace {them}?"):
        raise InputError(
            f"expected new files for the results, but {what}; --overwrite replaces {them}, --skip-existing keeps {them}"
        )


def _is_result(path: Path) -> bool:
    """Return whether `path` is a file or a folder, and no device or pipe."""
    try:
        return path != STANDARD_OUTPUT and (path.is_dir() or stat.S_ISREG(path.stat().st_mode))
    except OSError:  # opening it tells why
        return False


def _holds_something(path: Path) -> bool:
    if path.is_dir():
        return any(path.iterdir())
    return _is_result(path) and path.stat().st_size > 0


def reserved(folder: Path, name: str, ending: str) -> Places:
    """Create a picture of that ending, a folder if it has none, and a track file, all empty.

    They are called `name` or the first free of name-2, name-3 and so on.
    """
    try:
        folder.mkdir(exist_ok=True)
        for number in itertools.count(1):
            stem = folder / (name if number == 1 else f"{name}-{number}")
            pictures, tracks = stem.with_name(f"{stem.name}{ending}"), stem.with_name(f"{stem.name}.txt")
            if pictures.exists() or tracks.exists():
                continue
            with suppress(FileExistsError):  # another run was faster
                pictures.touch(exist_ok=False) if ending else pictures.mkdir()
                tracks.touch()
                return Places((pictures,), (tracks,))
    except OSError as error:
        raise InputError(
            f"expected to write to the folder {folder}, but {error.strerror}; name a place with --out"
        ) from None
    raise AssertionError("numbers do not end")


def result_name(source_id: str) -> str:
    """Return what to call the results of a file, folder, glob or URL: its last part, without what names no file."""
    return re.sub(r"[^\w.-]+", "_", Path(source_id).stem).strip("_")[:_NAME_LENGTH] or "result"


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return the names of files or, without an ending, of results; one that has been given before gets -2, -3, …"""
    given: Counter[str] = Counter()
    distinct = list[str]()
    for first in names:
        name, path = first, Path(first)
        while given[name]:
            given[first] += 1
            name = f"{path.stem}-{given[first]}{path.suffix}"
        given[name] += 1
        distinct.append(name)
    return distinct
