"""Trainings of tasks beyond detection, as folders: columns, resuming to the byte, key points of the data."""

import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import torch
import yaml

from streamdet.data.dataset import read_dataset
from streamdet.models.weights import load_model
from streamdet.train.loop import Training
from streamdet.train.run import TrainRun, read_data, recorded, resume, start
from streamdet.train.state import STATE
from tests.data.pictures import noise, write_image, write_set

from .small_training import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
BACKBONE = [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]]
HEADS: dict[str, list[object]] = {
    "segment": ["Segment", ["nc", 4, 8]],
    "pose": ["Pose", ["nc", [17, 3]]],
    "obb": ["OBB", ["nc", 1]],
    "classify": ["Classify", ["nc"]],
}
LINES = {
    "segment": "0 0.2 0.2 0.8 0.3 0.5 0.9",
    "pose": "0 0.5 0.5 0.6 0.6 0.3 0.4 2 0.7 0.4 2 0.5 0.8 1",
    "obb": "0 0.2 0.3 0.8 0.3 0.8 0.7 0.2 0.7",
}
COLUMNS = {
    "segment": "epoch,box,cls,dfl,seg,map50_95,map50,masks_map50_95,masks_map50,lr",
    "pose": "epoch,box,cls,dfl,pose,kobj,map50_95,map50,keypoints_map50_95,keypoints_map50,lr",
    "obb": "epoch,box,cls,dfl,angle,map50_95,map50,lr",
    "classify": "epoch,cls,top1,top5,lr",
}


def written(folder: Path, task: str) -> Path:
    """Write 8 images to train and one to validate with; return what names them."""
    if task == "classify":
        for index in range(8):
            write_image(folder / "train" / ("left", "right")[index % 2] / f"{index}.png", noise(index))
        write_image(folder / "val" / "left" / "a.png", noise(8))
        return folder
    names = [*(f"train/{index}.png" for index in range(8)), "val/a.png"]
    write_set(folder, dict.fromkeys(names, LINES[task]))
    data = folder / "data.yaml"
    data.write_text("train: images/train\nval: images/val\nnames: [thing]\nkpt_shape: [3, 3]\nflip_idx: [1, 0, 2]\n")
    return data


def told(folder: Path, task: str) -> TrainRun:
    data = written(folder, task)
    head = [[[2], 1, *HEADS[task]]]
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"names": ["thing"], "backbone": BACKBONE, "head": head}))
    settings = SETTINGS.model_copy(update={"epochs": 2, "copy_paste": 0.5, "copy_paste_mode": "mixup"})
    return TrainRun(data, str(folder / "tiny.yaml"), None, settings)


def resumed(out: Path) -> Training:
    """Return the training in `out` as ``streamdet train --resume`` goes on with it."""
    run = recorded(out)
    return resume(run, read_data(run, out), out)


def assert_same(out: Path, expected: Path) -> None:
    for name in ("last.safetensors", "best.safetensors", "results.csv"):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name


# Ends itself in the third of the four batches of the second epoch.
KILLED = """
import sys
from pathlib import Path
import torch
from streamdet.train.run import read_data, start
from tests.train.small_training import kill
from tests.train.test_task_training import told

torch.set_num_threads(1)
folder = Path(sys.argv[1])
run = told(folder, "classify")
start(run, read_data(run), folder / "killed")[0].run(kill)
"""


def test_a_killed_classifier_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, timeout=100)
    assert ended.returncode == -signal.SIGKILL
    out = tmp_path / "killed"
    position = torch.load(out / STATE, weights_only=True)["position"]
    assert (position["epoch"], position["batch"]) == (1, 2)
    assert resumed(out).run()
    run = recorded(out)
    assert start(run, read_data(run), tmp_path / "undisturbed")[0].run()
    assert_same(out, tmp_path / "undisturbed")


@pytest.mark.parametrize("task", HEADS)
def test_a_stopped_training_of_a_task_ends_as_one_without_a_stop(tmp_path: Path, task: str) -> None:
    run = told(tmp_path, task)
    data = read_data(run)
    undisturbed, _ = start(run, data, tmp_path / "undisturbed")
    assert undisturbed.run()
    stopped, _ = start(run, data, tmp_path / "stopped")
    steps = count(1)
    assert not stopped.run(should_stop=lambda: next(steps) == 3)
    assert resumed(tmp_path / "stopped").run()
    assert_same(tmp_path / "stopped", tmp_path / "undisturbed")
    assert (tmp_path / "stopped" / "results.csv").read_text().splitlines()[0] == COLUMNS[task]


def test_a_pose_model_has_the_key_points_of_the_data(tmp_path: Path) -> None:
    run = told(tmp_path, "pose")
    data = read_dataset(tmp_path / "data.yaml", "pose")
    start(run, data, tmp_path / "out")[0].run()
    assert load_model(tmp_path / "out" / "last.safetensors").spec.kpt_shape == (3, 3)
