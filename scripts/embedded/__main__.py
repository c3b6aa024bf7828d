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

from scripts.embedded.complete import UNSURE, complete
from scripts.embedded.pack import pack
from scripts.embedded.scenes import SCENES, render
from scripts.embedded.teacher import Teacher
from streamdet.train.run import is_begun

ROOT = Path(__file__).resolve().parents[2]

CONFIG = ROOT / "configs" / "train" / "embedded.yaml"
MODEL = ROOT / "configs" / "models" / "embedded.yaml"
WEIGHTS = ROOT / "streamdet" / "weights" / "embedded.safetensors"
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
    """Complete the labels, render scenes, train all phases, and put the weights into the package."""
    ends_at = None if minutes is None else time.monotonic() + 60 * minutes
    data = out / "data"
    if not (data / "data.yaml").exists():
        complete(sets, Teacher(teacher, UNSURE), data)
    trained: list[Path] = []
    for phase in yaml.safe_load(CONFIG.with_name("embedded-phases.yaml").read_text()):
        folder = out / phase["name"]
        if phase["data"] == SCENES:
            render(data)
        if not _train(phase, data, folder, trained[-1] if trained else None, device, ends_at):
            print("stopped: call again to go on")
            return STOPPED
        trained.append(folder / "last.safetensors")
    print(f"done: {pack(trained[-1], WEIGHTS)}")
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


if __name__ == "__main__":
    cyclopts.run(main)
