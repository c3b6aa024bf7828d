"""Two processes on one machine, as ``torchrun`` would start them, with gloo between them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from streamdet.train.distributed import Process, agreed, joined_process
from streamdet.train.examples import Order

from .small_training import SETTINGS, small_network

ROOT = Path(__file__).resolve().parents[2]

# Notes which images this process loads, and with what weights it ends. Nothing is ever detected, so that the first
# epoch stays the best one and patience ends the training after the second.
RANK = """
import sys
from pathlib import Path
import torch
from streamdet.train import examples
from streamdet.train.distributed import agreed, joined_process
from tests.train.rectangles import write_data_set
from tests.train.small_training import small_network, small_training

folder, load, seen = Path(sys.argv[1]), examples.load, []

def noted(image):
    seen.append(int(image.image.stem))
    return load(image)

examples.load = noted
torch.set_num_threads(1)
with joined_process() as process:
    mine = folder / str(process.rank)
    mine.mkdir()
    network = small_network()
    training = small_training(
        write_data_set(mine, 10, val=2), folder / "out", network, process=process, epochs=5, patience=1, mosaic=0,
        close_mosaic=0,
    )
    finished = training.run()
    ending = {
        "finished": finished,
        "epochs": training.position.epoch,
        "seen": seen,
        "weights": dict(network.named_parameters()),
        "stop of one": agreed(process.rank == 1, process),
        "stop of none": agreed(False, process),
    }
    torch.save(ending, mine / "noted.pt")
"""


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What two ranks noted at their end."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(folder)],
            cwd=ROOT,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=100) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / str(rank) / "noted.pt", weights_only=True) for rank in range(2)]


def test_all_end_with_the_same_weights(noted: list[dict[str, object]]) -> None:
    first, second = (each["weights"] for each in noted)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    begun = dict(small_network().named_parameters())
    assert isinstance(first, dict)
    assert not torch.equal(first["model.0.conv.weight"], begun["model.0.conv.weight"])


def test_each_sees_its_share_of_the_order(noted: list[dict[str, object]]) -> None:
    for rank, each in enumerate(noted):
        orders = [Order(8, SETTINGS.batch, SETTINGS.seed, epoch, rank=rank, world=2) for epoch in range(2)]
        assert each["seen"] == [draw.image for order in orders for batch in order for draw in batch]


def test_all_end_early_together(noted: list[dict[str, object]]) -> None:
    # Only the first validates: the other learns from it that the training is over.
    assert [(each["finished"], each["epochs"]) for each in noted] == [(True, 2)] * 2


def test_one_is_enough_to_stop_all(noted: list[dict[str, object]]) -> None:
    assert [(each["stop of one"], each["stop of none"]) for each in noted] == [(True, False)] * 2


def test_a_process_started_alone_is_a_world_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_process() as process:
        assert process == Process(rank=0, local=0, world=1)
        assert process.is_first
        assert not torch.distributed.is_initialized()
        assert [agreed(value, process) for value in (True, False)] == [True, False]
