"""The loop of a training: batches in, weights out, and a state on disk to go on from after a kill at any moment."""

from __future__ import annotations

import math
import os
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from streamdet.data.dataset import Dataset
from streamdet.errors import InputError, StreamdetError
from streamdet.files import replacing
from streamdet.machine import core_count
from streamdet.models.table import ModelSpec
from streamdet.models.weights import LoadedModel, Network, save_safetensors
from streamdet.train.assign import Targets
from streamdet.train.config import TrainConfig
from streamdet.train.distributed import Process, agreed
from streamdet.train.examples import Drawn, Examples, Order, collate
from streamdet.train.loss import criterion_of
from streamdet.train.schedule import Schedule, WeightAverage, batch_size_px, build_optimizer
from streamdet.train.state import STATE, EpochRow, Position, load_state, save_state, write_history
from streamdet.train.validate import validate

_MAX_GRADIENT_NORM = 10.0

# What does not decide the weights may differ when a training goes on.
_FREE_SETTINGS = {"workers", "save_s", "patience"}


class DivergedError(StreamdetError):
    """The loss is no number any more: the settings do not suit."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a face shows after each batch: the place, how many batches an epoch has, and the mean loss parts so far."""

    epoch: int
    batch: int
    batches: int
    parts: tuple[float, float, float]


class Training:
    """Trains `network` on `data` and keeps all it makes in the folder `out`.

    ``last.safetensors`` and ``best.safetensors`` hold averaged weights, ``results.csv`` the epochs, ``state.pt`` what
    `resume` goes on from. A training that was killed and resumed ends in the same weights as an undisturbed one.
    Raises InputError when the state in `out` is of a training with other settings, or the image size does not suit
    the network.
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
        if settings.imgsz % (stride_px := max(network.strides_px)):
            raise InputError(f"imgsz: expected a multiple of the model's stride {stride_px}, found {settings.imgsz}")
        self.settings, self.out, self.device = settings, out, device
        self.process = process or Process()
        self.data = data
        self._network = network.to(device).train()
        # Convolutions are faster so, on a GPU's tensor cores as on a CPU.
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._criterion = criterion_of(self._network, settings)
        self._average = WeightAverage(self._network, settings.ema_decay)
        self._optimizer = build_optimizer(self._network, settings, self.process.world)
        self._order = self._new_order()
        self._loader = self._new_loader()
        self._batches = len(self._order)
        self._schedule = Schedule(settings, self._batches, self.process.world)
        # Half precision on a GPU loses small gradients unless the loss is scaled up.
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._mixed)
        self.position = Position()
        self._saved_at = time.monotonic()
        self._unstepped = 0
        if resume:
            self._load()
        self._model = self._network if self.process.world == 1 else DistributedDataParallel(self._network)

    def run(
        self,
        on_batch: Callable[[BatchReport], object] = lambda report: None,
        on_epoch: Callable[[EpochRow], object] = lambda row: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end, or until `should_stop` says so after a batch; returns whether the end was reached.

        Raises DivergedError when the loss is no number any more; the state saved last is from before.
        """
        # Only the first process knows the scores that may end the training early.
        while not agreed(self._is_finished(), self.process):
            if not self._run_epoch(on_batch, should_stop):
                return False
            self._finish_epoch()
            on_epoch(self.position.history[-1])
        return True

    def save(self) -> None:
        """Write the state to go on from, in one step; raises OutputError when the disk does not take it."""
        if self.process.is_first:
            save_state(self.out / STATE, self.position, self._identity(), self._tensors())
        self._saved_at = time.monotonic()

    def _is_finished(self) -> bool:
        best, epoch = self.position.best, self.position.epoch
        waited = epoch - 1 - best.epoch if best else 0
        return epoch >= self.settings.epochs or waited >= self.settings.patience

    def _run_epoch(self, on_batch: Callable[[BatchReport], object], should_stop: Callable[[], bool]) -> bool:
        position = self.position
        for images, targets in self._batches_of(position.epoch, position.batch):
            self._schedule.set(self._optimizer, position.epoch, position.batch)
            parts = self._learn(images, targets)
            position.sums = [total + part for total, part in zip(position.sums, parts, strict=True)]
            position.batch += 1
            self._step_when_due()
            mean = tuple(total / position.batch for total in position.sums)
            on_batch(BatchReport(position.epoch, position.batch, self._batches, (mean[0], mean[1], mean[2])))
            # Between two steps there are gradients that a state does not hold.
            if self._unstepped == 0 and self._save_is_due(stopping := agreed(should_stop(), self.process)):
                self.save()
                if stopping:
                    return False
        return True

    def _learn(self, images: Tensor, targets: Targets) -> tuple[float, float, float]:
        images, targets = self._resized(images.to(self.device, non_blocking=True), targets.to(self.device))
        with self._autocast():
            maps = self._model(images.float() / 255)
        loss, parts = self._criterion(maps, targets)
        if not math.isfinite(sum(parts)):
            place = f"epoch {self.position.epoch}, batch {self.position.batch + 1}"
            raise DivergedError(f"the loss is {sum(parts)} in {place}: expected a number; try a lower lr0")
        # Gradients of several processes are averaged, those of one batch are summed.
        self._scaler.scale(loss * self.process.world).backward()  # type: ignore[no-untyped-call]
        self._unstepped += 1
        return parts

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
        means = [total / self._batches for total in position.sums]
        rate = self._schedule.rate(position.epoch)
        map50_95 = map50 = float("nan")
        if self.data.val and self.process.is_first:
            network = self._average.network
            scores = validate(network, self.data.val, self.data.class_names, settings.imgsz, self.device)
            map50_95, map50 = scores.map50_95, scores.map50
        position.history.append(EpochRow(position.epoch, means[0], means[1], means[2], map50_95, map50, rate))
        position.epoch, position.batch, position.sums = position.epoch + 1, 0, [0.0, 0.0, 0.0]
        if self.process.is_first:
            self._write_weights()
        self.save()

    def _write_weights(self) -> None:
        model = LoadedModel(self._average.network)
        is_best = self.position.best in (None, self.position.history[-1])
        for name in ("last", "best") if is_best else ("last",):
            with replacing(self.out / f"{name}.safetensors") as partial:
                save_safetensors(model, partial)
        write_history(self.out / "results.csv", self.position.history)

    def _batches_of(self, epoch: int, first: int) -> Iterator[tuple[Tensor, Targets]]:
        self._order.epoch, self._order.first = epoch, first
        yield from self._loader

    def _new_order(self) -> Order:
        settings, process = self.settings, self.process
        return Order(len(self.data.train), settings.batch, settings.seed, 0, 0, process.rank, process.world)

    def _new_loader(self) -> DataLoader[Drawn]:
        workers = min(self.settings.workers, core_count())
        return DataLoader(
            Examples(self.data.train, len(self.data.class_names), self.settings),
            batch_sampler=self._order,
            collate_fn=collate,
            num_workers=workers,
            worker_init_fn=_prepare_worker,
            # A forked worker would wait for ever for the threads that OpenCV has started in this process.
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=workers > 0,
            pin_memory=self.device != "cpu",
        )

    def _resized(self, images: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
        settings, position = self.settings, self.position
        size_px = batch_size_px(settings, position.epoch, position.batch, max(self._network.strides_px))
        if size_px == settings.imgsz:
            return images, targets
        resized = F.interpolate(images.float(), size=(size_px, size_px), mode="bilinear", align_corners=False)
        return resized, targets.scaled(size_px / settings.imgsz)

    @property
    def spec(self) -> ModelSpec:
        """The network that is trained."""
        return self._network.spec

    @property
    def _mixed(self) -> bool:
        return self.settings.mixed_precision and self.device != "cpu"

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cuda", torch.float16) if self._mixed else nullcontext()

    def _save_is_due(self, stopping: bool) -> bool:
        return stopping or time.monotonic() - self._saved_at >= self.settings.save_s

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
        if tensors["scaler"]:  # nothing where the training ran on a CPU
            self._scaler.load_state_dict(tensors["scaler"])

    def _identity(self) -> dict[str, Any]:
        """Return what a training must have in common with its state."""
        settings = self.settings.model_dump(exclude=_FREE_SETTINGS)
        names = "\n".join(image.image.name for image in self.data.train)
        images = f"{len(self.data.train)} (names {zlib.crc32(names.encode()):08x})"
        return settings | {"model": self.spec.to_json(), "images": images, "processes": self.process.world}


def _prepare_worker(worker: int) -> None:
    cv2.setNumThreads(1)
    # Ctrl-C is for the loop, which still wants the batches that the workers are at. They must heed SIGTERM: it is how
    # the loop ends them.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
