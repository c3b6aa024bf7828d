import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from streamdet.data.dataset import Dataset
from streamdet.errors import InputError, StreamdetError
from streamdet.models.weights import Network, load_model
from streamdet.train import loop
from streamdet.train.distributed import Process
from streamdet.train.loop import BatchReport
from streamdet.train.state import EpochRow

from .rectangles import CLASS_NAMES, write_data_set
from .small_training import SETTINGS, small_network, small_training

ROOT = Path(__file__).resolve().parents[2]
BATCHES = 6

# Ends itself, as a power cut would, in the third batch of the second epoch.
KILLED = """
import sys
from pathlib import Path
import torch
from tests.train.rectangles import write_data_set
from tests.train.small_training import kill, small_training

torch.set_num_threads(1)
folder = Path(sys.argv[1])
small_training(write_data_set(folder), folder / "killed").run(kill)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing disturbed."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert small_training(data, out).run()
    return out


def state(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(out / "state.pt", weights_only=True)
    return loaded


def assert_same(out: Path, expected: Path) -> None:
    """Weights, averages and the optimizer's memory agree to the last bit, and so do the published files."""
    for name in ("last.safetensors", "best.safetensors", "results.csv"):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name
    found, wanted = (state(folder)["tensors"] for folder in (out, expected))
    for part in ("network", "average"):
        torch.testing.assert_close(found[part], wanted[part], rtol=0, atol=0)
    torch.testing.assert_close(found["optimizer"]["state"], wanted["optimizer"]["state"], rtol=0, atol=0)


class KilledError(Exception):
    """Ends a training from within."""


def ending_at(place: tuple[int, int]) -> Callable[[BatchReport], None]:
    """Ends the training in the batch with this (epoch, number)."""

    def on_batch(report: BatchReport) -> None:
        if (report.epoch, report.batch) == place:
            raise KilledError

    return on_batch


def test_a_killed_process_goes_on_to_the_same_weights(data: Dataset, undisturbed: Path) -> None:
    folder = data.path.parent
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=ROOT, timeout=100)
    assert ended.returncode == -signal.SIGKILL
    position = state(folder / "killed")["position"]
    assert (position["epoch"], position["batch"]) == (1, 2)
    assert small_training(data, folder / "killed", resume=True).run()
    assert_same(folder / "killed", undisturbed)


@pytest.mark.parametrize("save_s", [0, 1000], ids=["every step saved", "every epoch saved"])
def test_an_end_after_any_batch_changes_nothing(data: Dataset, undisturbed: Path, tmp_path: Path, save_s: int) -> None:
    places = [(epoch, number) for epoch in range(SETTINGS.epochs) for number in range(1, BATCHES + 1)]
    for place in places:
        training = small_training(data, tmp_path, resume=(tmp_path / "state.pt").exists(), save_s=save_s)
        with pytest.raises(KilledError):
            training.run(ending_at(place))
    assert small_training(data, tmp_path, resume=True, save_s=save_s).run()
    assert_same(tmp_path, undisturbed)


def test_an_end_between_weights_and_state_changes_nothing(
    data: Dataset, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_history", end)
        with pytest.raises(KilledError):
            small_training(data, tmp_path).run()
    assert state(tmp_path)["position"]["batch"] == BATCHES
    assert small_training(data, tmp_path, resume=True).run()
    assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize("batches", [1, 8, BATCHES, 3 * BATCHES])
def test_a_stop_is_saved_and_goes_on(data: Dataset, undisturbed: Path, tmp_path: Path, batches: int) -> None:
    seen: list[BatchReport] = []
    first = small_training(data, tmp_path, save_s=1000)
    assert not first.run(seen.append, should_stop=lambda: len(seen) >= batches)
    # A stop waits for the end of a step, which is at most another batch.
    assert len(seen) in (batches, batches + 1)
    position = state(tmp_path)["position"]
    assert position["epoch"] * BATCHES + position["batch"] == len(seen)
    assert small_training(data, tmp_path, resume=True).run()
    assert_same(tmp_path, undisturbed)


def test_every_batch_and_epoch_is_reported(data: Dataset, tmp_path: Path) -> None:
    seen: list[BatchReport] = []
    finished: list[EpochRow] = []
    training = small_training(data, tmp_path)
    training.run(seen.append, finished.append)
    assert finished == training.position.history
    assert [(r.epoch, r.batch) for r in seen] == [(e, b) for e in range(3) for b in range(1, BATCHES + 1)]
    assert {r.batches for r in seen} == {BATCHES}
    rows = [line.split(",") for line in (tmp_path / "results.csv").read_text().splitlines()[1:]]
    for row, report in zip(rows, seen[BATCHES - 1 :: BATCHES], strict=True):
        assert [float(cell) for cell in row[1:4]] == pytest.approx(list(report.parts.values()), rel=1e-5)
        assert row[4:6] == ["nan", "nan"]  # nothing to validate with
    # lr0 (lrf + (1 - lrf) (1 - epoch / epochs))
    assert [float(row[6]) for row in rows] == pytest.approx([0.01, 0.01 * (0.01 + 0.99 * 2 / 3), 0.01 * 0.34])


def test_what_ended_has_nothing_left_to_do(data: Dataset, undisturbed: Path) -> None:
    seen: list[BatchReport] = []
    assert small_training(data, undisturbed, resume=True).run(seen.append)
    assert seen == []


def test_the_weights_are_a_model_of_their_own(undisturbed: Path) -> None:
    model = load_model(undisturbed / "last.safetensors")
    assert model.spec.class_names == CLASS_NAMES
    # Averaged weights lag behind, but for these few updates by little.
    trained, averaged = (state(undisturbed)["tensors"][part] for part in ("network", "average"))
    found = model.module.state_dict()["model.0.conv.weight"]
    assert torch.equal(found, averaged["model.0.conv.weight"])
    assert not torch.equal(found, trained["model.0.conv.weight"])


def scripted(scores: list[float], networks: list[dict[str, torch.Tensor]]) -> Callable[..., dict[str, float]]:
    """A validation that finds `scores`, epoch by epoch, and notes the weights it is given."""
    remaining = iter(scores)

    def validate(network: Network, *_: object) -> dict[str, float]:
        networks.append({key: tensor.clone() for key, tensor in network.state_dict().items()})
        score = next(remaining)
        return {"map50_95": score, "map50": 2 * score}

    return validate


def test_patience_ends_the_training_and_the_best_weights_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(loop, "validate", scripted([0.1, 0.4, 0.3, 0.4], networks))
    training = small_training(write_data_set(tmp_path, val=2), tmp_path, epochs=20, patience=2)
    assert training.run()
    assert [row.scores["map50_95"] for row in training.position.history] == [0.1, 0.4, 0.3, 0.4]
    assert [row.scores["map50"] for row in training.position.history] == [0.2, 0.8, 0.6, 0.8]
    torch.testing.assert_close(load_file(tmp_path / "best.safetensors"), networks[1], rtol=0, atol=0)
    torch.testing.assert_close(load_file(tmp_path / "last.safetensors"), networks[3], rtol=0, atol=0)


@pytest.mark.parametrize("changes", [{"lr0": 0.02}, {"seed": 1}, {"batch": 3}, {"optimizer": "adamw"}, {"freeze": 1}])
def test_a_training_goes_on_only_as_it_began(data: Dataset, undisturbed: Path, changes: dict[str, Any]) -> None:
    (key,) = changes
    with pytest.raises(InputError, match=f"state.pt: the training began with {key} "):
        small_training(data, undisturbed, resume=True, **changes)


def test_other_data_is_refused(tmp_path: Path, undisturbed: Path) -> None:
    with pytest.raises(InputError, match=r"state.pt: the training began with images '12 .*, which is now '10 "):
        small_training(write_data_set(tmp_path, 10), undisturbed, resume=True)


def test_other_images_of_the_same_number_are_refused(data: Dataset, undisturbed: Path) -> None:
    first, *rest = data.train
    other = replace(data, train=(replace(first, image=first.image.with_name("other.png")), *rest))
    with pytest.raises(InputError, match=r"state.pt: the training began with images '12 .*, which is now '12 "):
        small_training(other, undisturbed, resume=True)


def test_another_number_of_processes_is_refused(data: Dataset, undisturbed: Path) -> None:
    with pytest.raises(InputError, match=r"state.pt: the training began with processes 1, which is now 2"):
        small_training(data, undisturbed, resume=True, process=Process(rank=0, world=2))


def test_what_decides_no_weights_may_change(data: Dataset, undisturbed: Path) -> None:
    training = small_training(data, undisturbed, resume=True, workers=2, save_s=5, patience=3)
    assert training.position.epoch == SETTINGS.epochs


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_saved(data: Dataset, tmp_path: Path) -> None:
    network = small_network()

    def spoil(report: BatchReport) -> None:
        if report.batch == 4:
            network.state_dict()["model.2.bn.bias"].fill_(torch.nan)

    with pytest.raises(StreamdetError, match="the loss is nan in epoch 0, batch 5: expected a number; try a lower lr0"):
        small_training(data, tmp_path, network, save_s=1000).run(spoil)
    assert not (tmp_path / "state.pt").exists()


@pytest.mark.parametrize(("freeze", "frozen"), [(None, []), (0, []), (2, [0, 1]), ([1], [1]), ([3, 0], [0, 3])])
def test_frozen_layers_stay_as_they_are(
    data: Dataset, tmp_path: Path, freeze: int | list[int] | None, frozen: list[int]
) -> None:
    before = small_network().state_dict()
    assert small_training(data, tmp_path, freeze=freeze, optimizer="adamw", weight_decay=0.1).run()
    for part in ("network", "average"):
        after = state(tmp_path)["tensors"][part]
        same: dict[int, list[bool]] = {layer: [] for layer in range(4)}
        for key, tensor in before.items():
            same[int(key.split(".")[1])].append(torch.equal(tensor, after[key]))
        # Weights, running means and variances, and the number of batches.
        assert [layer for layer in same if all(same[layer])] == frozen
        assert [layer for layer in same if not any(same[layer][:-1])] == [n for n in range(4) if n not in frozen]


def test_a_training_with_frozen_layers_goes_on_to_the_same_weights(data: Dataset, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert small_training(data, whole, freeze=2).run()
    with pytest.raises(KilledError):
        small_training(data, parts, freeze=2).run(ending_at((1, 3)))
    assert small_training(data, parts, freeze=2, resume=True).run()
    assert_same(parts, whole)


@pytest.mark.parametrize(
    ("freeze", "sentence"),
    [
        (5, "freeze: expected layers of the model, which has 4, from 0, found 5"),
        ([0, 4], r"freeze: expected layers of the model, which has 4, from 0, found \[0, 4\]"),
        (4, "freeze: expected a layer that is left to learn, found none with 4"),
    ],
)
def test_layers_to_freeze_must_be_there_and_leave_one(
    data: Dataset, tmp_path: Path, freeze: int | list[int], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        small_training(data, tmp_path, freeze=freeze)


def test_weights_of_some_epochs_are_kept(data: Dataset, undisturbed: Path, tmp_path: Path) -> None:
    assert small_training(data, tmp_path, save_period=2).run()
    assert [path.name for path in tmp_path.glob("epoch*")] == ["epoch2.safetensors"]
    assert_same(tmp_path, undisturbed)
    until = tmp_path / "until"
    assert small_training(data, until, save_period=3).run()
    assert (until / "epoch3.safetensors").read_bytes() == (until / "last.safetensors").read_bytes()
    assert not list(undisturbed.glob("epoch*"))


def test_without_validation_no_epoch_is_scored(tmp_path: Path) -> None:
    scored, quiet = tmp_path / "scored", tmp_path / "quiet"
    data = write_data_set(tmp_path, val=2)
    for out, val in ((scored, True), (quiet, False)):
        training = small_training(data, out, val=val, epochs=2)
        assert training.run()
        assert (training.position.best is not None) == val
    # What validates does not change what is learned.
    assert (quiet / "last.safetensors").read_bytes() == (scored / "last.safetensors").read_bytes()


def test_an_image_size_that_the_network_cannot_take_is_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="imgsz: expected a multiple of the model's stride 8, found 60"):
        small_training(data, tmp_path, imgsz=60)
    with pytest.raises(InputError, match="imgsz: expected a multiple of the model's stride 8, found 44"):
        small_training(data, tmp_path, sizes=[64, 44])


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "avx512_f": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_a_cpu_trains_in_bf16_where_it_computes_it(
    features: dict[str, bool],
    expected: torch.dtype,
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    computed = {}
    for mixed in (True, False):
        network = small_network()
        seen: set[torch.dtype] = set()
        network.model[0].register_forward_hook(lambda module, inputs, output, seen=seen: seen.add(output.dtype))
        training = small_training(data, tmp_path / str(mixed), network, mixed_precision=mixed)
        training.run(should_stop=lambda: True)
        computed[mixed] = seen
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert computed == {True: {expected}, False: {torch.float32}}
