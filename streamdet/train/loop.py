"""The training loop: it learns batch by batch, validates every epoch, and saves a state that a resumed run starts from.

A process that is killed at any moment loses only the work since the last saved state.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from streamdet.data.dataset import Dataset
from streamdet.errors import InputError, StreamdetError
from streamdet.files import replacing
from streamdet.models.table import ModelSpec
from streamdet.models.weights import LoadedModel, Network, save_safetensors
from streamdet.train.assign import Targets
from streamdet.train.config import TrainConfig
from streamdet.train.criterion import build_criterion
from streamdet.train.distributed import Process, agreed
from streamdet.train.examples import Examples, Order, batch_loader
from streamdet.train.norms import set_momentum
from streamdet.train.schedule import Schedule, WeightAverage, batch_size_px, build_optimizer, freeze_layers
from streamdet.train.state import STATE, EpochRow, Position, load_state, save_state, write_history
from streamdet.train.validate import score_names, validate

_MAX_GRADIENT_NORM = 10.0

# Settings that may differ in a resumed training, since they have no influence on the weights.
_FREE_SETTINGS = {"workers", "cache", "save_s", "save_period", "patience", "val"}


class DivergedError(StreamdetError):
    """The loss became infinite or nan, usually because of a learning rate that is too high."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The progress after a batch: its `epoch`, its number `batch` of `batches`, and the epoch's mean loss parts so far.

    Epochs count from 0, batches from 1; `parts` are by name, see `EpochRow`.
    """

    epoch: int
    batch: int
    batches: int
    parts: dict[str, float]


class Training:
    """A training of `network` on `data`, whose files go to the folder `out`.

    ``last.safetensors`` and ``best.safetensors`` hold averaged weights, ``results.csv`` the epochs, and ``state.pt``
    the state from which `resume` continues. A training that was killed and resumed ends with the same weights as one
    without interruption. Raises InputError when the state in `out` is that of a training with other settings, the
    image size is not a multiple of the network's stride, or `freeze` leaves no layer.
    """

    def __init__(
        self,
        network: Network,
        data: Dataset,
        settings: TrainConfig,
        out: Path,
        *,
        device: str = "cpu",
        process: Process | None = None,
        resume: bool = False,
    ) -> None:
        stride_px = max(network.strides_px)
        for side in (settings.imgsz, *settings.sizes):
            if side % stride_px:
                raise InputError(f"imgsz: expected a multiple of the model's stride {stride_px}, found {side}")
        self.settings, self.out, self.device = settings, out, device
        self.process = process or Process()
        self.data = data
        self._network = network.to(device).train()
        freeze_layers(self._network, settings.freeze or 0)
        # Convolutions are faster in this layout, on a GPU's tensor cores and on a CPU.
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._criterion = build_criterion(self._network, settings)
        self._average = WeightAverage(self._network, settings.ema_decay)
        self._optimizer = build_optimizer(self._network, settings, self.process.world)
        rank, world = self.process.rank, self.process.world
        self._order = Order(len(data.train), settings.batch, settings.seed, epoch=0, rank=rank, world=world)
        examples = Examples(data.train, settings)
        self._loader = batch_loader(examples, self._order, settings.workers, pin_memory=device != "cpu")
        self._batches = len(self._order)
        self._schedule = Schedule(settings, self._batches, world)
        set_momentum(self._network, self._batches * settings.epochs)
        self._half = _half_precision(device) if settings.mixed_precision else None
        # In fp16 small gradients become 0 unless the loss is scaled up.
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._half is torch.float16)
        self.position = Position()
        self._saved_at = time.monotonic()
        self._unstepped = 0  # batches whose gradients no step of the optimizer has used yet
        if resume:
            self._load()
        self._model = self._network if world == 1 else DistributedDataParallel(self._network)

    @property
    def spec(self) -> ModelSpec:
        """The layers and classes of the network."""
        return self._network.spec

    def run(
        self,
        on_batch: Callable[[BatchReport], object] = lambda report: None,
        on_epoch: Callable[[EpochRow], object] = lambda row: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end, or until `should_stop` returns True after a batch; return whether the end was reached.

        `should_stop` is called after each step of the optimizer. Raises DivergedError when the loss is not finite; the
        last saved state is from before that.
        """
        # Only the first process has the scores that can end the training early.
        while not agreed(self._is_finished(), self.process):
            if not self._run_epoch(on_batch, should_stop):
                return False
            self._finish_epoch()
            on_epoch(self.position.history[-1])
        return True

    def save(self) -> None:
        """Write the state from which a training is resumed, atomically; raises OutputError when that fails."""
        if self.process.is_first:
            save_state(self.out / STATE, self.position, self._identity(), self._tensors())
        self._saved_at = time.monotonic()

    def _is_finished(self) -> bool:
        best, epoch = self.position.best, self.position.epoch
        waited = epoch - 1 - best.epoch if best else 0
        return epoch >= self.settings.epochs or waited >= self.settings.patience

    def _run_epoch(self, on_batch: Callable[[BatchReport], object], should_stop: Callable[[], bool]) -> bool:
        position = self.position
        self._order.epoch, self._order.first = position.epoch, position.batch
        for images, targets in self._loader:
            self._schedule.set(self._optimizer, position.epoch, position.batch)
            parts = self._learn(images, targets)
            position.sums = {name: position.sums.get(name, 0.0) + part for name, part in parts.items()}
            position.batch += 1
            self._step_when_due()
            means = {name: total / position.batch for name, total in position.sums.items()}
            on_batch(BatchReport(position.epoch, position.batch, self._batches, means))
            if self._unstepped:  # a saved state holds no gradients
                continue
            stopping = agreed(should_stop(), self.process)
            if stopping or time.monotonic() - self._saved_at >= self.settings.save_s:
                self.save()
            if stopping:
                return False
        return True

    def _learn(self, images: Tensor, targets: Targets) -> dict[str, float]:
        images, targets = self._resized(images.to(self.device, non_blocking=True), targets.to(self.device))
        with self._autocast():
            maps = self._model(images.float() / 255)
        loss, parts = self._criterion(maps, targets)
        if not math.isfinite(sum(parts)):
            place = f"epoch {self.position.epoch}, batch {self.position.batch + 1}"
            raise DivergedError(f"the loss is {sum(parts)} in {place}: expected a number; try a lower lr0")
        # The loss is a sum over images; gradients of several processes are averaged, and must be summed, too.
        self._scaler.scale(loss * self.process.world).backward()  # type: ignore[no-untyped-call]
        self._unstepped += 1
        return dict(parts._asdict())

    def _step_when_due(self) -> None:
        position = self.position
        last = position.batch == self._batches
        if self._unstepped < self._schedule.accumulate(position.epoch, position.batch) and not last:
            return
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _MAX_GRADIENT_NORM)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        self._average.update(self._network)
        self._unstepped = 0

    def _finish_epoch(self) -> None:
        position, settings = self.position, self.settings
        means = {name: total / self._batches for name, total in position.sums.items()}
        rate = self._schedule.rate(position.epoch)
        scores = dict.fromkeys(score_names(self.spec.task), float("nan"))
        if self.data.val and settings.val and self.process.is_first:
            network = self._average.network
            scores = validate(network, self.data.val, self.data.class_names, settings.imgsz, self.device)
        position.history.append(EpochRow(position.epoch, means, scores, rate))
        position.epoch, position.batch, position.sums = position.epoch + 1, 0, {}
        if self.process.is_first:
            self._write_weights()
        self.save()

    def _write_weights(self) -> None:
        model = LoadedModel(self._average.network)
        number, period = self.position.epoch, self.settings.save_period
        is_best = self.position.best in (None, self.position.history[-1])
        kept = {"last": True, "best": is_best, f"epoch{number}": period > 0 and number % period == 0}
        for name in (name for name, due in kept.items() if due):
            with replacing(self.out / f"{name}.safetensors") as partial:
                save_safetensors(model, partial)
        write_history(self.out / "results.csv", self.position.history)

    def _resized(self, images: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
        settings, position = self.settings, self.position
        size_px = batch_size_px(settings, position.epoch, position.batch, max(self._network.strides_px))
        if size_px == settings.imgsz:
            return images, targets
        resized = F.interpolate(images.float(), size=(size_px, size_px), mode="bilinear", align_corners=False)
        return resized, targets.scaled(size_px / settings.imgsz)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(torch.device(self.device).type, self._half) if self._half else nullcontext()

    def _tensors(self) -> dict[str, Any]:
        return {
            "network": self._network.state_dict(),
            "average": self._average.network.state_dict(),
            "updates": self._average.updates,
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def _load(self) -> None:
        self.position, tensors = load_state(self.out / STATE, self._identity())
        self._network.load_state_dict(tensors["network"])
        self._average.network.load_state_dict(tensors["average"])
        self._average.updates = tensors["updates"]
        self._optimizer.load_state_dict(tensors["optimizer"])
        if tensors["scaler"]:  # empty when the training ran without mixed precision
            self._scaler.load_state_dict(tensors["scaler"])

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same in a training and in the state that it resumes from."""
        settings = self.settings.model_dump(exclude=_FREE_SETTINGS)
        names = "\n".join(image.image.name for image in self.data.train)
        images = f"{len(self.data.train)} (names {zlib.crc32(names.encode()):08x})"
        return settings | {"model": self.spec.to_json(), "images": images, "processes": self.process.world}


def _half_precision(device: str) -> torch.dtype | None:
    """Return the 16-bit type in which `device` computes faster than in fp32, None if there is none."""
    if device != "cpu":
        return torch.float16
    features = torch.cpu.get_capabilities()
    return torch.bfloat16 if features.get("avx512_bf16") or features.get("amx_bf16") else None
