"""Finds a weights file by the name the user gave."""

from pathlib import Path

from streamdet.errors import InputError

SUFFIXES = (".pt", ".safetensors")


def find_weights(path: Path) -> Path:
    """Return the ``.pt`` or ``.safetensors`` file at `path`, whose ending may be left out; raises InputError."""
    if path.is_dir():
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found a folder")
    if path.suffix not in ("", *SUFFIXES):
        raise InputError(f"{path}: expected weights in a .pt or .safetensors file, found {path.suffix!r}")
    candidates = [path] if path.suffix else [path.with_suffix(suffix) for suffix in SUFFIXES]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"no weights found: expected a file {' or '.join(map(str, candidates))}")
