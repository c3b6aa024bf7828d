"""Runs a network from a ``.pt2`` archive of ``torch.export.save``, operator by operator and without torch's loader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from streamdet.appearance.archive import read_archive
from streamdet.appearance.graph import Name, steps_of
from streamdet.errors import InputError
from streamdet.types import Float32Array


class ExportedProgram:
    """Maps crops f32 (b, 3, H, W) to features f32 (b, D).

    `inputs` holds the shape of every input, None for what is free. It runs on CUDA where torch sees a device. Raises
    InputError for a file that is no such archive, or one that needs more than operators on tensors.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._read(path)
        except Exception as error:  # whatever is malformed is found where it is used
            raise InputError(f"{path}: expected an archive of torch.export.save, found {_found(error)}") from None

    def _read(self, path: Path) -> None:
        module, tensors = read_archive(path)
        graph, signature = module["graph"], module["signature"]
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._crops: list[Name] = []
        self._constants: dict[Name, Any] = {}
        for specification in signature["input_specs"]:
            ((kind, content),) = specification.items()
            if kind == "user_input":
                self._crops.append(Name(content["arg"]["as_tensor"]["name"]))
            else:
                self._constants[Name(content["arg"]["name"])] = tensors[content[f"{kind}_name"]].to(self._device)
        self.inputs = [_shape(graph["tensor_values"][name]) for name in self._crops]
        self._output = _output(signature["output_specs"])
        self._steps = steps_of(graph["nodes"], self._output, self._device)

    @torch.inference_mode()
    def __call__(self, crops: Float32Array) -> Float32Array:
        """Return the output for a batch of crops."""
        values = {**self._constants, self._crops[0]: torch.from_numpy(crops).to(self._device)}
        for step in self._steps:
            step.run(values)
        return np.asarray(values[self._output].cpu().numpy())


def _shape(tensor: Mapping[str, Any]) -> tuple[int | None, ...]:
    return tuple(size.get("as_int") for size in tensor["sizes"])


def _output(specifications: list[Any]) -> Name:
    """Return the name of the only output."""
    match specifications:
        case [{"user_output": {"arg": {"as_tensor": {"name": str(name)}}}}]:
            return Name(name)
    raise ValueError(f"outputs {[kind for specification in specifications for kind in specification]}, not one tensor")


def _found(error: Exception) -> str:
    """Return what was found instead, in words."""
    words = " ".join(str(error).split())
    is_plain = isinstance(error, OSError | ValueError | BadZipFile)
    return words if is_plain else f"malformed content ({type(error).__name__}: {words})"
