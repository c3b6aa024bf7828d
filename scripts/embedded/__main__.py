"""Trains the model inside the package: ``python -m scripts.embedded SETS TEACHER OUT``; see docs/embedded-model.md.

Steps whose results exist are skipped, and a stopped training is resumed: call the script again until it prints "done".
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import cyclopts
import yaml
from cyclopts import Parameter

from scripts.embedded.calibrate import calibrate
from scripts.embedded.complete import UNSURE, complete
from scripts.embedded.pack import pack
from scripts.embedded.scenes import SCENES, render
from scripts.embedded.teacher import Teacher
from streamdet.data.dataset import read_dataset
from streamdet.models.weights import load_model, save_safetensors
from streamdet.train.run import is_begun
from streamdet.train.validate import validate

ROOT = Path(__file__).resolve().parents[2]

CONFIG = ROOT / "configs" / "train" / "embedded.yaml"
MODEL = ROOT / "configs" / "models" / "embedded.yaml"
WEIGHTS = ROOT / "streamdet" / "weights" / "embedded.safetensors"
CALIBRATION_SIZE_PX = 640  # the default size of a detector
STOPPED = 75  # exit code of a step that the time limit ended


def main(
    sets: Annotated[Path, Parameter(help="Folder of the labelled sets.")],
    teacher: Annotated[Path, Parameter(help="yolox_nano.onnx")],
    out: Annotated[Path, Parameter(help="Folder for data, trainings and their state.")],
    /,
    *,
    device: Annotated[str, Parameter(help="auto, cpu or cuda:N.")] = "auto",
    minutes: Annotated[float | None, Parameter(help="Stop after that time, to go on with the next call.")] = None,
) -> int:
    """Complete the labels, render scenes, train phase after phase, calibrate, and put the weights into the package."""
    ends_at = None if minutes is None else time.monotonic() + 60 * minutes
    data = out / "data"
    if not (data / "data.yaml").exists():
        complete(sets, Teacher(teacher, UNSURE), data)
    before: Path | None = None
    for phase in yaml.safe_load(CONFIG.with_name("embedded-phases.yaml").read_text()):
        folder = out / phase["name"]
        if phase["data"] == SCENES:
            render(data)
        if not _train(phase, data, folder, before, device, ends_at):
            print("stopped: call again to go on")
            return STOPPED
        before = folder / "last.safetensors"
    assert before is not None
    calibrated = out / "calibrated.safetensors"
    _calibrate(before, data, calibrated)
    print(f"done: {pack(calibrated, WEIGHTS)}")
    return 0


def _train(
    phase: dict[str, str], data: Path, folder: Path, before: Path | None, device: str, ends_at: float | None
) -> bool:
    """Train one phase, or resume it; returns whether it is complete."""
    command = [sys.executable, "-m", "streamdet", "train", "--device", device]
    if ends_at is not None:
        command += ["--minutes", str(max(ends_at - time.monotonic(), 0) / 60)]
    if is_begun(folder):
        command += ["--resume", str(folder)]
    else:
        command += [str(data / phase["data"]), "--model", str(MODEL), "--config", str(CONFIG), "--out", str(folder)]
        command += [word for change in phase["set"] for word in ("--set", change)]
        command += ["--weights", str(before)] if before else []
    code = subprocess.run(command, check=False).returncode
    if code not in (0, STOPPED):
        sys.exit(code)
    return code == 0


def _calibrate(weights: Path, data: Path, out: Path) -> None:
    """Write the weights to `out`, with scores calibrated on the validation images, and print by how much they move."""
    model, dataset = load_model(weights), read_dataset(data / "data.yaml")
    scores = validate(model.module, dataset.val, dataset.class_names, CALIBRATION_SIZE_PX, "cpu")
    moved = calibrate(model.module, scores)
    print("logits move by " + ", ".join(f"{name} {offset:+.2f}" for name, offset in moved.items()))
    save_safetensors(model, out)


if __name__ == "__main__":
    cyclopts.run(main)
