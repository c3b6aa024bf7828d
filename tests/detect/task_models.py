"""Small models of each task with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from streamdet.files import resource
from streamdet.models.table import resolve
from streamdet.models.weights import LoadedModel, Network, save_safetensors

TABLES = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb", "classify": "-cls"}


def write_weights(folder: Path, task: str) -> Path:
    """Write a YOLOv8 of half the width of the smallest, for cats and dogs, whose scores are spread around a half."""
    table = yaml.safe_load(resource(f"configs/models/yolov8{TABLES[task]}.yaml").read_text())
    table |= {"names": ["cat", "dog"], "nc": 2, "scales": {"n": [0.33, 0.125, 1024]}}
    torch.manual_seed(0)
    network = Network(resolve(table, task))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            module.reset_parameters()
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics are those of all images so far
    # With the statistics of noise, no two cells predict nearly the same.
    with torch.no_grad():
        network.train()(torch.rand(8, 3, 128, 128))
    network.eval()
    path = folder / f"{task}.safetensors"
    save_safetensors(LoadedModel(network), path)
    return path
