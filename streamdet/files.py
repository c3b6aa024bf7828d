"""Files that ship with the package, the user's cache, weights by name, and files that are replaced whole."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamdet.errors import InputError

_PACKAGE = Path(__file__).resolve().parent

PARTIAL = ".part"
WEIGHTS_SUFFIXES = (".pt", ".safetensors")

# Where nobody names a model: see docs/embedded-model.md.
EMBEDDED_MODEL = _PACKAGE / "weights" / "embedded.safetensors"


def resource(name: str) -> Path:
    """Return the path of a shipped file or folder such as ``configs/models/yolov8.yaml``."""
    installed = _PACKAGE / name
    return installed if installed.exists() else _PACKAGE.parent / name


def cache_folder(kind: str) -> Path:
    """Return the folder for things of one `kind` in the user's cache, by the custom of the operating system."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamdet" / kind


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place beside `path` to write to, which takes the place of `path` when the block ends without an error.

    Until then an earlier file of that name is whole, and no other process ever reads half of the new one. What a
    killed process leaves ends in `PARTIAL`.
    """
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def find_weights(path: Path) -> Path:
    """Return the ``.pt`` or ``.safetensors`` file at `path`, whose ending may be left out; raises InputError."""
    if path.is_dir():
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found a folder")
    if path.suffix not in ("", *WEIGHTS_SUFFIXES):
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found {path.suffix!r}")
    candidates = [path] if path.suffix else [path.with_suffix(suffix) for suffix in WEIGHTS_SUFFIXES]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"no weights found: expected a file {' or '.join(map(str, candidates))}")
