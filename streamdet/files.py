"""Shipped files, the user's cache, text, the lookup of weights, and the atomic replacement of files."""

import codecs
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR
from typing import Literal

from streamdet.errors import InputError, shown

_PACKAGE = Path(__file__).resolve().parent

# The default model: see docs/embedded-model.md.
EMBEDDED_MODEL = _PACKAGE / "weights" / "embedded.safetensors"
WEIGHTS_SUFFIXES = (".pt", ".safetensors")
# The suffix of a file that is still being written, see `replacing`.
PARTIAL = ".part"


def resource(name: str) -> Path:
    """Return the path of a shipped file or folder such as ``configs/models/yolov8.yaml``.

    In an installed wheel it is inside the package, in a checkout beside it.
    """
    installed = _PACKAGE / name
    return installed if installed.exists() else _PACKAGE.parent / name


def cache_folder(kind: str) -> Path:
    """Return the subfolder `kind` of streamdet's folder in the user's cache, by the conventions of the platform."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamdet" / kind


def path_kind(path: Path) -> Literal["file", "folder"] | None:
    """Return what is at `path`, None for nothing; raises InputError if that cannot be known, as without access."""
    try:
        return "folder" if S_ISDIR(path.stat().st_mode) else "file"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 if a byte order mark says so; the mark is left out.

    Raises OSError, and UnicodeDecodeError for another encoding.
    """
    content = path.read_bytes()
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


def find_weights(path: Path) -> Path:
    """Return the ``.pt`` or ``.safetensors`` file at `path`, which may omit the ending; raises InputError."""
    if path.is_dir():
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found a folder")
    if path.suffix not in ("", *WEIGHTS_SUFFIXES):
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found {shown(path.suffix)}")
    candidates = [path] if path.suffix else [path.with_suffix(suffix) for suffix in WEIGHTS_SUFFIXES]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"no weights found: expected a file {' or '.join(map(str, candidates))}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it replaces `path` when the block ends without an error.

    Until then an existing file `path` stays as it is, and no other process can read an incomplete one. A killed process
    leaves a file whose name ends in `PARTIAL`.
    """
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
