"""Whether the package `trackers` is ours: PyPI has another one, which damages ours when it comes or goes."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]  # of the packages streamdet and trackers
REINSTALL = "pip install --force-reinstall --no-deps streamdet"
_MARK = b"Part of the distribution streamdet."  # in the docstring of our package


def trackers_problem() -> str | None:
    """Return in one sentence why ``import trackers`` is not our package, and the command that mends it; None if it is.

    Imports nothing: it takes a tenth of a millisecond as long as there is no problem.
    """
    try:
        spec = find_spec("trackers")
    except ValueError:  # a module without a specification, as a test or a notebook may make one
        return None
    expected = "expected the package trackers of streamdet, found"
    if spec is None:
        return f"{expected} none: {REINSTALL}"
    place = Path(next(iter(spec.submodule_search_locations or [str(spec.origin)]))).resolve()
    if place != HOME / "trackers":
        if _is_distribution(place):
            return f"{expected} that of the project trackers in {place}: pip uninstall trackers"
        return f"{expected} another one in {place}: rename it, or take {place.parent} off the import path"
    if _is_ours(place / "__init__.py"):
        return None
    if _is_distribution(place):
        return f"{expected} it damaged by the project trackers: pip uninstall -y trackers && {REINSTALL}"
    return f"{expected} it damaged, as when another project of that name was removed: {REINSTALL}"


def warn_of_other_trackers() -> None:
    """Warn of `trackers_problem`, for the caller of the module that calls this."""
    if problem := trackers_problem():
        warnings.warn(problem, RuntimeWarning, stacklevel=3)


def _is_ours(file: Path) -> bool:
    try:
        return _MARK in file.read_bytes()
    except OSError:
        return file.with_suffix(".pyc").exists()  # an installation without sources


def _is_distribution(place: Path) -> bool:
    """Return whether a distribution called trackers is installed beside `place`."""
    return any(place.parent.glob("trackers-*.dist-info"))
