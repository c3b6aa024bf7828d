"""A tracker's configuration, written to a YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from streamdet.errors import InputError, OutputError
from trackers.config import TrackerConfig


def require_writable(path: Path) -> None:
    """Raise InputError unless a file can be written at `path`; one that is there stays as it is."""
    existed = path.exists()
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise InputError(f"expected to write the tracker to {path}, but {error.strerror}") from None
    if not existed:
        path.unlink()


def write_tracker(path: Path, config: TrackerConfig, comment: Sequence[str]) -> None:
    """Write `config` as YAML below the lines of `comment`; raises OutputError when the disk refuses."""
    options = {"tracker_type": config.kind, **asdict(config.settings), **config.image_options}
    text = "".join(f"# {line}\n" for line in comment) + yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"writing the tracker to {path} failed: {error.strerror}") from error
