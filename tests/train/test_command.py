"""``streamdet train`` as a user meets it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from streamdet.cli.train_record import TrainProgress
from streamdet.data.images import read_image
from streamdet.models.weights import LoadedModel, load_model, save_safetensors
from streamdet.train.loop import BatchReport

from .rectangles import write_data_file, write_data_set
from .small_training import SETTINGS, small_network, write_small_table

ROOT = Path(__file__).resolve().parents[2]
Streamdet = Callable[..., str]

# The command, which is sent the signal NUMBER in the third batch of the second epoch.
SIGNALLED = """
import os
import torch
from streamdet.cli.app import main
from streamdet.cli.train_record import TrainProgress

update = TrainProgress.update

def signalled(progress, report):
    update(progress, report)
    if (report.epoch, report.batch) == (1, 3):
        os.kill(os.getpid(), NUMBER)

TrainProgress.update = signalled
torch.set_num_threads(1)
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model, its settings and a data set of 8 images to train and 4 to validate with."""
    path = tmp_path_factory.mktemp("small")
    write_data_file(write_data_set(path, 12, val=4))
    write_small_table(path)
    (path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump()))
    return path


@pytest.fixture
def train(streamdet: Streamdet, folder: Path) -> Streamdet:
    """Run ``streamdet train`` on the small data set with the small model."""

    def run(*options: object, code: int = 0, data: Path = folder / "data.yaml") -> str:
        return streamdet("train", *told(folder, data), *options, code=code)

    return run


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    command = [sys.executable, "-m", "streamdet", "train", *map(str, told(folder)), "--out", str(out)]
    # As many threads as in this process: sums of floating point numbers depend on how they are shared out.
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=one, timeout=100, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (out / "printed").write_text(ended.stdout + ended.stderr)
    return out


def told(folder: Path, data: Path | None = None) -> tuple[object, ...]:
    model, settings = folder / "small.yaml", folder / "settings.yaml"
    return (data or folder / "data.yaml", "--model", model, "--config", settings, "--device", "cpu")


def assert_same(out: Path, expected: Path) -> None:
    for name in ("last.safetensors", "best.safetensors", "results.csv"):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name


def test_a_training_tells_its_data_its_course_and_its_best(undisturbed: Path) -> None:
    printed = (undisturbed / "printed").read_text()
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}
    assert rows["images"] == ["8", "4"]
    assert rows["objects"] == ["8", "4"]
    assert rows["red"] == rows["green"] == ["4", "2"]
    assert [line[:9] for line in printed.splitlines() if line.startswith("epoch ")] == [
        f"epoch {n}/3" for n in (1, 2, 3)
    ]
    assert "best epoch 1: mAP50-95 " in printed
    assert f"weights in {undisturbed / 'best.safetensors'}" in printed
    assert load_model(undisturbed / "best.safetensors").class_names == ("red", "green")


@pytest.mark.parametrize("name", ["train", "labels", "results", "val_labels", "val_detections"])
def test_a_training_leaves_pictures(undisturbed: Path, name: str) -> None:
    image = read_image(undisturbed / f"{name}.png")
    assert image is not None
    assert image.std() > 10
    if name == "train":
        # Eight images of 64 px, in three columns, of red and green objects.
        assert image.shape == (3 * 64, 3 * 64, 3)
        for channel in (0, 1):
            assert (np.delete(image, channel, 2).max(2) < 40)[image[:, :, channel] > 120].sum() > 100


def test_a_check_trains_nothing(train: Streamdet, tmp_path: Path) -> None:
    printed = train("--check", "--out", tmp_path / "out")
    assert "images" in printed
    assert not (tmp_path / "out").exists()


def test_weights_are_not_replaced_under_another_name(train: Streamdet, tmp_path: Path) -> None:
    weights, state = tmp_path / "weights.pt", tmp_path / "out" / "state.pt"
    weights.write_bytes(b"weights")
    state.parent.mkdir()
    state.hardlink_to(weights)
    printed = train("--weights", tmp_path / "weights", "--out", tmp_path / "out", code=2)
    assert f"a file of its own for --out, but {state} is read as --weights: {weights}" in printed
    assert weights.read_bytes() == b"weights"


def test_broken_images_are_named_and_left_out(train: Streamdet, tmp_path: Path) -> None:
    data = write_data_set(tmp_path, 5)
    data.train[2].image.write_bytes(b"no image")
    printed = train("--out", tmp_path / "out", "--epochs", 1, "--set", "batch=1", data=write_data_file(data))
    assert f"left out: {data.train[2].image}" in printed
    assert len((tmp_path / "out" / "results.csv").read_text().splitlines()) == 2


def test_data_without_an_image_is_one_sentence(train: Streamdet, tmp_path: Path) -> None:
    data = write_data_set(tmp_path, 2)
    for image in data.train:
        image.image.write_bytes(b"no image")
    printed = train("--out", tmp_path / "out", code=2, data=write_data_file(data))
    assert "data.yaml: expected images to train with, and none of those it names can be used" in printed
    assert not (tmp_path / "out").exists()


def test_without_validation_nothing_is_best(train: Streamdet, tmp_path: Path) -> None:
    data = write_data_file(write_data_set(tmp_path, 4))
    printed = train("--out", tmp_path / "out", "--epochs", 1, data=data)
    assert "names no validation images: nothing says which epoch was best" in printed
    assert f"weights in {tmp_path / 'out' / 'best.safetensors'}" in printed
    assert not (tmp_path / "out" / "val_labels.png").exists()


def test_a_part_of_the_data_is_learned_and_gone_on_with(streamdet: Streamdet, train: Streamdet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    some = "--set", "fraction=0.5", "--set", "classes=[red]", "--set", "single_cls=true"
    printed = train(*some, "--minutes", 0, "--out", out, code=75)
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}
    assert rows["images"] == ["4", "4"]
    assert rows["objects"] == rows["red"] == ["2", "2"]
    assert "green" not in rows
    streamdet("train", "--resume", out, "--device", "cpu", code=0)
    assert load_model(out / "last.safetensors").class_names == ("red",)


def test_objects_without_masks_are_not_copied(train: Streamdet, tmp_path: Path) -> None:
    printed = train("--set", "copy_paste=0.5", "--minutes", 0, "--out", tmp_path / "out", code=75)
    assert "copy_paste is not used: only objects with masks are copied, " in printed


def test_weights_that_fit_are_counted(train: Streamdet, tmp_path: Path) -> None:
    save_safetensors(LoadedModel(small_network().eval()), tmp_path / "small.safetensors")
    printed = train("--weights", tmp_path / "small.safetensors", "--minutes", 0, "--out", tmp_path / "out", code=75)
    count = len(small_network().state_dict())
    assert f"{count} tensors come from {tmp_path / 'small.safetensors'}, the rest starts at random" in printed


def test_a_folder_that_exists_is_left_alone(train: Streamdet, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    printed = train("--out", tmp_path, code=2)
    assert f"{tmp_path} exists already: give another --out, or go on with --resume {tmp_path}" in printed
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_without_out_a_training_goes_to_a_free_folder(
    train: Streamdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        train("--minutes", 0, code=75)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["train-1", "train-2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "mosiac=1"], "unknown key 'mosiac'; did you mean 'mosaic'?"),
        (["--set", "mosaic"], "--set expects KEY=VALUE such as mosaic=0.5, got 'mosaic'"),
        (["--set", "mosaic=["], "--set expects KEY=VALUE such as mosaic=0.5, got 'mosaic=['"),
        (["--set", "mosaic=2"], "mosaic: Input should be less than or equal to 1, found 2"),
        (["--imgsz", 60], "expected a multiple of the model's stride 8, found 60"),
        (["--resume", "runs/train-1"], "expected it alone, found DATA, --model, --config too"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    train: Streamdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = train(*options, code=2)
    assert message in printed
    assert printed.count("error: ") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_train_with_is_one_sentence(streamdet: Streamdet) -> None:
    assert "expected a data file such as DATA.yaml, or --resume" in streamdet("train", code=2)


def test_only_a_training_can_be_resumed(streamdet: Streamdet, tmp_path: Path) -> None:
    assert "expected the folder of a training with training.yaml" in streamdet("train", "--resume", tmp_path, code=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_stopped_by_a_signal_says_how_to_go_on_and_does(
    streamdet: Streamdet, folder: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    script = SIGNALLED.replace("NUMBER", str(int(number)))
    # With a worker that loads, which must end with it.
    command = [sys.executable, "-c", script, "train", *map(str, told(folder)), "--set", "workers=1", "--out", str(out)]
    ended = subprocess.run(command, cwd=ROOT, timeout=100, capture_output=True, text=True, check=False)
    assert ended.returncode == 128 + number, ended.stderr
    assert f"stopped; go on with: streamdet train --resume {out}\n" in ended.stderr
    printed = streamdet("train", "--resume", out, "--device", "cpu", code=0)
    assert "going on after 1 of 3 epochs" in printed
    assert_same(out, undisturbed)


def test_a_training_goes_on_without_the_weights_it_began_with(
    streamdet: Streamdet, train: Streamdet, folder: Path, tmp_path: Path
) -> None:
    weights, out = tmp_path / "small.safetensors", tmp_path / "out"
    save_safetensors(LoadedModel(small_network()), weights)
    train("--weights", weights, "--minutes", 0, "--out", out, code=75)
    weights.unlink()
    streamdet("train", "--resume", out, "--device", "cpu", code=0)
    assert (out / "last.safetensors").exists()


def test_a_training_does_not_go_on_with_other_classes(streamdet: Streamdet, train: Streamdet, tmp_path: Path) -> None:
    write_data_file(write_data_set(tmp_path, 4, val=2))
    data, out = tmp_path / "data.yaml", tmp_path / "out"
    train("--minutes", 0, "--out", out, data=data, code=75)
    stated = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump(stated | {"names": ["blue", *stated["names"]]}))
    printed = streamdet("train", "--resume", out, "--device", "cpu", code=2)
    assert "data.yaml: the training began with the classes " in printed
    assert "which are now blue, " in printed


def test_a_training_whose_time_is_up_goes_on(
    streamdet: Streamdet, train: Streamdet, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    printed = train("--minutes", 0, "--out", out, code=75)
    assert f"stopped; go on with: streamdet train --resume {out}" in printed
    streamdet("train", "--resume", out, "--minutes", 0, "--device", "cpu", code=75)
    streamdet("train", "--resume", out, "--device", "cpu", code=0)
    assert_same(out, undisturbed)


def test_an_interrupt_ends_with_the_code_of_its_signal(
    train: Streamdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(progress: TrainProgress, report: BatchReport) -> None:
        if report.batch == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrainProgress, "update", interrupted)
    before = signal.getsignal(signal.SIGINT)
    train("--out", tmp_path / "out", code=130)
    assert signal.getsignal(signal.SIGINT) == before
    assert (tmp_path / "out" / "state.pt").exists()


def test_without_matplotlib_there_are_no_curves(
    train: Streamdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamdet.cli.train_record.find_spec", lambda name: None)
    printed = train("--out", tmp_path / "out", "--epochs", 1)
    assert "no curves are drawn: matplotlib is not installed; add it with: pip install 'streamdet[train]'" in printed
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
        "train.png",
        "val_detections.png",
        "val_labels.png",
    ]


def test_tensorboard_is_told_where_it_is_installed(
    train: Streamdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_values: dict[str, tuple[float, int]] = {}

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "out")

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            told_values[name] = value, epoch

        def close(self) -> None:
            told_values["closed"] = 0, 0

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    train("--out", tmp_path / "out", "--epochs", 1)
    names, values = (line.split(",") for line in (tmp_path / "out" / "results.csv").read_text().splitlines())
    assert [*names, "closed"] == list(told_values)
    for name, value in zip(names, values, strict=True):
        assert told_values[name][0] == pytest.approx(float(value), rel=1e-5)
        assert told_values[name][1] == 0
