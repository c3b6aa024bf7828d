"""Data-parallel training of one network in several processes, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from streamdet.errors import InputError
from streamdet.machine import resolve_device


@dataclass(frozen=True, slots=True)
class Process:
    """One of `world` processes: its `rank` among all, and its number `local` on this machine, which is its GPU's."""

    rank: int = 0
    local: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that validates, writes files and reports progress."""
        return self.rank == 0


@contextmanager
def joined_process(device: str = "auto") -> Iterator[Process]:
    """Join the group of processes that ``torchrun`` started; a process started alone is a world of one.

    The processes communicate by gloo on a CPU, else by NCCL, with one GPU each. Raises InputError when there are too
    few GPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Process()
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = resolve_device(device) != "cpu"
    if on_gpu:
        if local >= (count := torch.cuda.device_count()):
            raise InputError(f"expected a GPU for each of the processes, found {count}")
        torch.cuda.set_device(local)  # the device that NCCL uses
    # The other processes wait while the first one validates.
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(hours=6))
    try:
        yield Process(dist.get_rank(), local, world)
    finally:
        dist.destroy_process_group()


def agreed(value: bool, process: Process) -> bool:
    """Return whether `value` is true in any of the processes; all of them must call this at the same point."""
    if process.world == 1:
        return value
    votes = torch.tensor([int(value)], device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return bool(votes.item())
