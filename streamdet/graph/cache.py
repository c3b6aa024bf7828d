"""Keeps the graph of every weights file that was used, so that a second start neither converts nor imports torch."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import streamdet
from streamdet.model.weights_file import find_weights
from streamdet.resources import cache_folder

KEPT = 16  # graphs; the ones written longest ago are removed
_DIGEST_SIZE = hashlib.sha256().digest_size


def cached_graph(weights: Path) -> bytes:
    """Return the ONNX graph of a ``.pt`` or ``.safetensors`` file for images of any size; raises InputError.

    The cache is found by the content of the weights and of the code that converts them. Where it cannot be written,
    and where an entry is damaged, the weights are converted again without a word.
    """
    path = find_weights(weights)
    entry = cache_folder("graphs") / f"{_key(path)}.graph"
    graph = _read(entry)
    if graph is None:
        graph = _convert(path)
        with suppress(OSError):
            _write(entry, graph)
    return graph


def _convert(path: Path) -> bytes:
    from streamdet.graph.card import GraphCard
    from streamdet.graph.onnx_graph import onnx_graph
    from streamdet.model.weights import load_model

    model = load_model(path)
    return onnx_graph(model, GraphCard(model.class_names, model.stride))


def _key(path: Path) -> str:
    """Return a digest of the weights and of all code that has a part in converting them."""
    digest = hashlib.sha256(_code_digest())
    try:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return "unreadable"  # loading the weights says why
    return digest.hexdigest()[:32]


@cache
def _code_digest() -> bytes:
    package = Path(streamdet.__file__).parent
    digest = hashlib.sha256()
    for source in sorted([*(package / "graph").glob("*.py"), *(package / "model").glob("*.py")]):
        digest.update(source.read_bytes())
    return digest.digest()


def _read(entry: Path) -> bytes | None:
    """Return the graph in an entry, None when there is none or it is not what was written."""
    try:
        content = entry.read_bytes()
    except OSError:
        return None
    digest, graph = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    return graph if hashlib.sha256(graph).digest() == digest else None


def _write(entry: Path, graph: bytes) -> None:
    """Write an entry under another name and rename it, so that no other process ever reads half of it."""
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=entry.parent, suffix=".partial", delete=False) as file:
        try:
            file.write(hashlib.sha256(graph).digest() + graph)
            file.close()
            Path(file.name).replace(entry)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
    for old in sorted(entry.parent.glob("*.graph"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
