"""Every door answers a nearly right input with a result or with one sentence."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.fuzz.doors import DOORS
from tests.fuzz.worker import Worker

# Inputs of each door in this test; benchmarks/fuzz.py tries as many as one likes.
COUNTS = dict.fromkeys(DOORS, 100) | {"clip": 20, "playlist": 10, "track file": 50, "updates": 50}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with Worker(tmp_path_factory.mktemp("fuzz"), limit_s=60) as worker:
        yield worker


@pytest.mark.parametrize("name", DOORS)
def test_no_input_does_anything_else(worker: Worker, name: str) -> None:
    seeds, rng = worker.seeds(name), np.random.default_rng(0)
    assert [outcome for seed in seeds if (outcome := worker(name, seed)).kind == "FAULT"] == []
    inputs = [DOORS[name].mutate(rng, seeds[k % len(seeds)]) for k in range(COUNTS[name])]
    faults: dict[bytes, Any] = {each: found for each in inputs if (found := worker(name, each)).kind == "FAULT"}
    assert faults == {}


def test_right_inputs_are_accepted(worker: Worker) -> None:
    outcomes = Counter(
        worker(name, seed).kind for name in ("labels", "image", "tracker") for seed in worker.seeds(name)
    )
    assert set(outcomes) == {"accepted"}
