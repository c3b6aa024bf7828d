"""Trainings of tasks beyond detection, as folders: columns, resuming to the byte, key points of the data."""

from itertools import count
from pathlib import Path

import pytest
import yaml

from streamdet.data.dataset import read_dataset
from streamdet.models.weights import load_model
from streamdet.train.run import TrainRun, read_data, recorded, resume, start
from tests.data.pictures import write_set

from .small_training import SETTINGS

BACKBONE = [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]]
HEADS: dict[str, list[object]] = {
    "segment": ["Segment", ["nc", 4, 8]],
    "pose": ["Pose", ["nc", [17, 3]]],
    "obb": ["OBB", ["nc", 1]],
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
}


def told(folder: Path, task: str) -> TrainRun:
    names = [*(f"train/{index}.png" for index in range(8)), "val/a.png"]
    write_set(folder, dict.fromkeys(names, LINES[task]))
    (folder / "data.yaml").write_text(
        "train: images/train\nval: images/val\nnames: [thing]\nkpt_shape: [3, 3]\nflip_idx: [1, 0, 2]\n"
    )
    head = [[[2], 1, *HEADS[task]]]
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"names": ["thing"], "backbone": BACKBONE, "head": head}))
    settings = SETTINGS.model_copy(update={"epochs": 2, "copy_paste": 0.5, "copy_paste_mode": "mixup"})
    return TrainRun(folder / "data.yaml", str(folder / "tiny.yaml"), None, settings)


@pytest.mark.parametrize("task", HEADS)
def test_a_stopped_training_of_a_task_ends_as_one_without_a_stop(tmp_path: Path, task: str) -> None:
    run = told(tmp_path, task)
    data = read_data(run)
    undisturbed, _ = start(run, data, tmp_path / "undisturbed")
    assert undisturbed.run()
    stopped, _ = start(run, data, tmp_path / "stopped")
    steps = count(1)
    assert not stopped.run(should_stop=lambda: next(steps) == 3)
    assert resume(recorded(tmp_path / "stopped"), read_data(run, tmp_path / "stopped"), tmp_path / "stopped").run()
    for name in ("last.safetensors", "best.safetensors", "results.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
    assert (tmp_path / "stopped" / "results.csv").read_text().splitlines()[0] == COLUMNS[task]


def test_a_pose_model_has_the_key_points_of_the_data(tmp_path: Path) -> None:
    run = told(tmp_path, "pose")
    data = read_dataset(tmp_path / "data.yaml", "pose")
    start(run, data, tmp_path / "out")[0].run()
    assert load_model(tmp_path / "out" / "last.safetensors").spec.kpt_shape == (3, 3)
