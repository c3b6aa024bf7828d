"""The cache of converted and compiled models on disk.

With a filled cache, a start neither imports torch nor converts weights nor compiles.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import streamdet
from streamdet.files import cache_folder, find_weights, path_kind, replacing, user_path

MAX_ENTRIES = 16  # of a kind; the ones written longest ago are removed
_log = logging.getLogger(__name__)
_DIGEST_SIZE = hashlib.sha256().digest_size


def cached_graph(weights: Path, arch: str | None = None, labels: int = 1) -> bytes:
    """Return the ONNX graph of a ``.pt`` or ``.safetensors`` file for images of any size; raises InputError.

    The key of its entry is a digest of the weights, of `arch`, the architecture of weights that are only tensors, of
    `labels`, how many classes a box may have, and of the code that converts them.
    """
    path = find_weights(weights)
    return cached("graphs", _key(path, arch, labels), lambda: _convert(path, arch, labels))


def cached_wrapped(model: Path) -> bytes:
    """Return the graph of another program's ONNX file as `streamdet.inference.foreign` makes it; raises InputError."""
    return cached("graphs", _key(model), lambda: _wrap(model))


def cached(kind: str, key: str, make: Callable[[], bytes]) -> bytes:
    """Return the entry under `key`, which `make` returned at an earlier start, or returns now.

    A damaged entry is made again. A cache that cannot be written is no error: the entry is then made at every start.
    """
    entry = cache_folder(kind) / f"{key}.kept"
    content = _read(entry)
    if content is None:
        content = make()
        with suppress(OSError):
            _write(entry, content)
    return content


def _convert(path: Path, arch: str | None, labels: int) -> bytes:
    _log.info("converting %s: later starts take it from the cache", path.name)
    from streamdet.inference.graph import model_card, onnx_graph
    from streamdet.models.weights import load_model

    model = load_model(path, arch)
    return onnx_graph(model, model_card(model, labels=labels))


def _wrap(model: Path) -> bytes:
    from streamdet.inference.foreign import wrapped

    return wrapped(model)


def _key(path: Path, arch: str | None = None, labels: int = 1) -> str:
    """Return a digest of the weights and of all code that takes part in converting them."""
    digest = hashlib.sha256(_code_digest() + str(labels).encode())
    try:
        if arch is not None:
            table = user_path(arch)
            digest.update(table.read_bytes() if path_kind(table) == "file" else arch.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return "unreadable"  # `_convert` then fails to read them, and raises the error
    return digest.hexdigest()[:32]


@cache
def _code_digest() -> bytes:
    package = Path(streamdet.__file__).parent
    digest = hashlib.sha256()
    for source in sorted([*(package / "inference").glob("*.py"), *(package / "models").glob("*.py")]):
        digest.update(source.read_bytes())
    return digest.digest()


def _read(entry: Path) -> bytes | None:
    """Return the content of an entry, None if there is none or it is damaged."""
    try:
        content = entry.read_bytes()
    except OSError:
        return None
    digest, payload = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def _write(entry: Path, content: bytes) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(entry) as partial:
        partial.write_bytes(hashlib.sha256(content).digest() + content)
    for old in sorted(entry.parent.glob("*.kept"), key=lambda path: path.stat().st_mtime)[:-MAX_ENTRIES]:
        old.unlink(missing_ok=True)
