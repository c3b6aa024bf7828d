"""Shipped files, the user's cache, text, the lookup of weights, and the atomic replacement of files."""

import codecs
import errno
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
# Models of other programs by the suffix of their file.
_FOREIGN = {
    ".engine": "a TensorRT engine",
    ".h5": "a Keras model",
    ".keras": "a Keras model",
    ".mlmodel": "a Core ML model",
    ".mlpackage": "a Core ML model",
    ".mnn": "an MNN model",
    ".onnx": "an ONNX model",
    ".param": "an ncnn model",
    ".pb": "a TensorFlow model",
    ".pdmodel": "a PaddlePaddle model",
    ".plan": "a TensorRT engine",
    ".rknn": "an RKNN model",
    ".tflite": "a TensorFlow Lite model",
    ".torchscript": "a TorchScript program",
    ".trt": "a TensorRT engine",
    ".weights": "weights of Darknet",
    ".xml": "an OpenVINO model",
}
# The beginnings of files that are given for a model by mistake.
_BEGINNINGS = {
    b"version https://git-lfs": "a pointer of Git LFS, in whose place git lfs pull puts the file",
    b"<!doctype html": "an HTML page, not the file that it links to",
    b"<html": "an HTML page, not the file that it links to",
    b"pk": "a truncated or damaged archive",
    b"\x80": "a bare pickle, the format of PyTorch before 1.6",
    b"\x08": "an ONNX model or another one in the format protobuf",
    b"\x1f\x8b": "a compressed file, which must be unpacked",
    b"\x89hdf": "a Keras model in the format HDF5",
    b"rar!": "an archive, which must be unpacked",
    b"7z\xbc\xaf": "an archive, which must be unpacked",
}
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


def user_path(path: str | Path) -> Path:
    """Return `path` with the user's home in place of ``~``."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def weights_files(path: str | Path) -> list[Path]:
    """Return where the weights `path`, which may omit the ending, can be: `path` itself, then with each suffix."""
    path = user_path(path)
    return [path, *(path.with_name(path.name + suffix) for suffix in WEIGHTS_SUFFIXES)]


def find_weights(path: Path) -> Path:
    """Return the ``.pt`` or ``.safetensors`` file at `path`, which may omit the ending; raises InputError."""
    suffix = path.suffix.lower()
    if path_kind(path) == "folder":
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found a folder")
    if suffix in _FOREIGN:
        advice = "give the .pt or .safetensors file that it was made of"
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found {_FOREIGN[suffix]}: {advice}")
    if suffix not in ("", *WEIGHTS_SUFFIXES):
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found {shown(path.suffix)}")
    candidates = [path] if suffix else weights_files(path)[1:]
    for candidate in candidates:
        if path_kind(candidate) == "file":
            return candidate
    raise InputError(f"no weights found: expected a file {' or '.join(map(str, candidates))}")


def content_kind(path: Path) -> str:
    """Return what the first bytes of the file at `path` look like, to be said where another content was expected."""
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "an empty file"
    if start[8:10] == b'{"':  # behind the length of the header
        return "a .safetensors file"
    if start[4:8] == b"TFL3":
        return _FOREIGN[".tflite"]
    if b"ftrt" in start or start[4:6] == b'{"':
        return _FOREIGN[".engine"]
    text = start.lstrip().lower()
    known = next((name for beginning, name in _BEGINNINGS.items() if text.startswith(beginning)), None)
    return known or ("a text file" if start.isascii() and b"\0" not in start else "something else")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it replaces `path` when the block ends without an error.

    Until then an existing file `path` stays as it is, and no other process can read an incomplete one. A killed process
    leaves a file whose name ends in `PARTIAL`. Raises OSError for a device or a pipe, which a file must not replace.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a device or a pipe", str(path))
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
