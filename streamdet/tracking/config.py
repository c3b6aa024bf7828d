"""A tracker's configuration, from a shipped name or a YAML file; and that the package `trackers` is ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from streamdet.errors import InputError, StreamdetError
from streamdet.files import resource

try:
    from trackers.config import TrackerConfig, read_config
except ImportError as error:
    # Another project installs a package of the same name; anything else that is missing speaks for itself.
    _spec = find_spec("trackers")
    _found = next(iter(_spec.submodule_search_locations or [str(_spec.origin)])) if _spec else "nothing"
    _expected = Path(__file__).resolve().parents[2] / "trackers"
    if Path(_found).resolve() == _expected:
        raise
    raise StreamdetError(
        f"expected streamdet's own package trackers in {_expected.parent}, found {_found}; uninstall or rename that one"
    ) from error


def read_tracker(spec: str | Path) -> TrackerConfig:
    """Return the configuration that `spec` names: a tracker as it ships, or a YAML file.

    The file has our keys or ultralytics' own. Raises InputError when it cannot be read, and on a key or a value that is
    not known.
    """
    shipped = resource("configs/trackers") / f"{spec}.yaml"
    try:
        return read_config(shipped if shipped.is_file() else spec)
    except ValueError as error:
        raise InputError(str(error)) from None
