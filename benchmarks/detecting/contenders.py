"""The contenders that are measured: each is a backend in one precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.inference.graph import RowsNetwork
from streamdet.inference.load import BACKENDS, load_session, possible_backends
from streamdet.inference.session import ModelCard, Precision
from streamdet.inference.torch import TorchSession
from streamdet.models.weights import load_model
from streamdet.options import PrecisionChoice


def emulated_bf16(weights: Path) -> TorchSession:
    """Return a session that emulates bf16 on a CPU without it: rounds each layer as a CPU with it does, but slowly."""
    model = load_model(weights)
    return TorchSession(
        RowsNetwork(model, torch.bfloat16), ModelCard(model.class_names, model.stride), "cpu", precision="bf16"
    )


@dataclass(frozen=True, slots=True)
class Contender:
    """A backend that computes `model` in one precision.

    `model` is a weights file or the folder of an int8 export. An `emulated` contender computes by `emulated_bf16`.
    """

    backend: str
    precision: Precision
    model: Path
    emulated: bool = False

    @property
    def name(self) -> str:
        """Backend and precision as text."""
        return f"{self.backend} {self.precision}{', emulated' * self.emulated}"

    def detector(self, size: int | tuple[int, int], conf: float) -> Detector:
        """Return a detector with a model input of `size` px, see `Detector`; raises InputError."""
        # OpenVINO chooses the precision of the layers that are not in int8, as in a run.
        backend = "auto" if self.precision == "int8" else self.backend
        precision: PrecisionChoice = "half" if self.precision == "bf16" and not self.emulated else "auto"
        detector = Detector(self.model, device="cpu", backend=backend, size=size, conf=conf, precision=precision)
        if self.emulated:
            detector.session = emulated_bf16(self.model)
        return detector


def contenders(weights: Path, int8: Path | None) -> list[Contender]:
    """Return torch in fp32, the reference, then the others of this machine, and `int8`, an exported folder, last."""
    installed = [name for name in possible_backends(weights, "cpu") if find_spec(BACKENDS[name])]
    found = [Contender(name, "fp32", weights) for name in reversed(installed)]
    found += _in_bf16(weights, installed)
    return [*found, Contender("openvino", "int8", int8)] if int8 else found


def taken_by_auto(weights: Path) -> Contender:
    """Return the contender that ``--backend auto`` takes on this CPU."""
    session = load_session(weights, device="cpu")
    return Contender(session.name, session.precision, weights)


def _in_bf16(weights: Path, installed: list[str]) -> Iterator[Contender]:
    for name in ("torch", "openvino"):
        if name in installed and _computes_bf16(weights, name):
            yield Contender(name, "bf16", weights)
        elif name == "torch":
            yield Contender(name, "bf16", weights, emulated=True)


def _computes_bf16(weights: Path, backend: str) -> bool:
    try:
        load_session(weights, device="cpu", backend=backend, precision="half")
    except InputError:
        return False
    return True
