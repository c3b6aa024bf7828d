"""Where the results of a run go, and what is there already: no result is lost, and an unfinished one is known."""

from __future__ import annotations

import itertools
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamdet.cli.console import agreed
from streamdet.errors import InputError
from streamdet.files import PARTIAL
from streamdet.options import OutputOptions
from streamdet.output_file import STANDARD_OUTPUT

_NAME_LENGTH = 200  # of results, which leaves room for a number and an ending in the 255 bytes of a file's name


@dataclass(frozen=True, slots=True)
class Places:
    """The files that the results of one source go to: `videos`, `tracks`, and reasons to `explain`."""

    videos: tuple[Path, ...] = ()
    tracks: tuple[Path, ...] = ()
    explain: Path | None = None

    @classmethod
    def named(cls, options: OutputOptions) -> Places:
        """Return the places that the options name."""
        return cls(options.out, options.tracks, options.explain)

    @property
    def all(self) -> list[Path]:
        """All of them, in the order in which they are told."""
        return [*self.videos, *self.tracks, *([self.explain] if self.explain else [])]

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
    """Return whether `path` is a file, and no device or pipe."""
    try:
        return path != STANDARD_OUTPUT and stat.S_ISREG(path.stat().st_mode)
    except OSError:  # opening it tells why
        return False


def _holds_something(path: Path) -> bool:
    return _is_result(path) and path.stat().st_size > 0


def reserved(folder: Path, name: str) -> Places:
    """Create a video and a track file, both empty, called `name` or the first free of name-2, name-3 and so on."""
    try:
        folder.mkdir(exist_ok=True)
        for number in itertools.count(1):
            stem = folder / (name if number == 1 else f"{name}-{number}")
            video, tracks = stem.with_name(f"{stem.name}.mp4"), stem.with_name(f"{stem.name}.txt")
            if video.exists() or tracks.exists():
                continue
            with suppress(FileExistsError):  # another run was faster
                video.touch(exist_ok=False)
                tracks.touch()
                return Places((video,), (tracks,))
    except OSError as error:
        raise InputError(
            f"expected to write to the folder {folder}, but {error.strerror}; name a place with --out"
        ) from None
    raise AssertionError("numbers do not end")


def result_name(source_id: str) -> str:
    """Return what to call the results of a file, folder, glob or URL: its last part, without what names no file."""
    return re.sub(r"[^\w.-]+", "_", Path(source_id).stem).strip("_")[:_NAME_LENGTH] or "result"
