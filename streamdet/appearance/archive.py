"""Reads an archive of ``torch.export.save`` (.pt2) as data: nothing in it is unpickled, imported or evaluated.

``torch.export.load`` may unpickle weights, constants and sample inputs, and runs expressions and guards as Python
source. Here the graph is taken from its JSON, and tensors from the raw bytes that torch stores them as.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import torch
from torch import Tensor

FORMAT_MAJOR = 8  # version of the graph's format
# Numbers that the format gives to types of elements.
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}


class Archive(NamedTuple):
    """The `graph_module` as the archive states it, and its `tensors`: parameters, buffers and constants by name."""

    graph_module: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read_archive(path: Path) -> Archive:
    """Return the model in the archive.

    Raises ValueError for what is not read, and what `zipfile`, `json` and torch raise for a malformed archive.
    """
    with ZipFile(path) as archive:
        folder = archive.namelist()[0].partition("/")[0]  # bears the name under which the file was saved
        program = json.loads(archive.read(f"{folder}/models/model.json"))
        if program["schema_version"]["major"] != FORMAT_MAJOR:
            raise ValueError(f"version {program['schema_version']['major']} of its format, not {FORMAT_MAJOR}")
        weights = _tensors(archive, f"{folder}/data/weights", "model_weights_config.json")
        constants = _tensors(archive, f"{folder}/data/constants", "model_constants_config.json")
    return Archive(program["graph_module"], weights | constants)


def _tensors(archive: ZipFile, folder: str, index: str) -> dict[str, Tensor]:
    """Return the tensors that an index in `folder` lists, by name."""
    entries = json.loads(archive.read(f"{folder}/{index}"))["config"]
    return {name: _tensor(archive, folder, name, entry) for name, entry in entries.items()}


def _tensor(archive: ZipFile, folder: str, name: str, entry: Mapping[str, Any]) -> Tensor:
    meta = entry["tensor_meta"]
    if entry["use_pickle"] or meta is None:
        raise ValueError(f"{name!r} stored as a pickle, which is not run")
    sizes = [size["as_int"] for size in meta["sizes"]]
    strides = [stride["as_int"] for stride in meta["strides"]]
    dtype = DTYPES[meta["dtype"]]
    content = bytearray(archive.read(f"{folder}/{entry['path_name']}"))
    if not content:
        return torch.zeros(sizes, dtype=dtype)
    return torch.frombuffer(content, dtype=dtype).as_strided(sizes, strides, meta["storage_offset"]["as_int"])
