from pathlib import Path
from typing import Any

import pytest

from streamdet.errors import InputError
from streamdet.files import resource
from streamdet.train.config import TrainConfig, read_train_config


def written(folder: Path, text: str) -> Path:
    path = folder / "train.yaml"
    path.write_text(text)
    return path


def test_without_a_file_all_is_as_published() -> None:
    settings = read_train_config(None, {})
    rates = (settings.lr0, settings.lrf, settings.momentum, settings.weight_decay, settings.warmup_epochs)
    assert rates == (0.01, 0.01, 0.937, 5e-4, 3)
    assert (settings.hsv_h, settings.hsv_s, settings.hsv_v) == (0.015, 0.7, 0.4)
    assert (settings.scale, settings.translate, settings.fliplr, settings.mosaic) == (0.5, 0.1, 0.5, 1)


def test_changes_stand_above_the_file_and_the_file_above_the_defaults(tmp_path: Path) -> None:
    settings = read_train_config(written(tmp_path, "epochs: 7\nbatch: 3\n"), {"batch": 5})
    assert (settings.epochs, settings.batch, settings.imgsz) == (7, 5, TrainConfig().imgsz)
    assert read_train_config(written(tmp_path, ""), {}) == TrainConfig()


def test_the_shipped_file_is_valid() -> None:
    assert read_train_config(resource("configs/train/embedded.yaml"), {}).optimizer == "adamw"


@pytest.mark.parametrize(
    ("text", "changes", "sentence"),
    [
        ("epoch: 7", {}, "train.yaml: unknown key 'epoch'; did you mean 'epochs'?"),
        ("", {"mosiac": 0.5}, "unknown key 'mosiac'; did you mean 'mosaic'?"),
        ("7: 8", {}, "unknown key 7; known: "),
        ("mixup: 1.5", {}, "mixup: Input should be less than or equal to 1, found 1.5"),
        ("lr0: 0", {}, "lr0: Input should be greater than 0, found 0"),
        ("lr0: .inf", {}, "lr0: Input should be a finite number, found inf"),
        ("weight_decay: .nan", {}, "weight_decay: Input should be a finite number, found nan"),
        ("epochs: many", {}, "epochs: Input should be a valid integer, .* found 'many'"),
        ("optimizer: adam", {}, "optimizer: Input should be 'sgd' or 'adamw', found 'adam'"),
        ("scale: 1", {}, "scale: Input should be less than 1, found 1"),
        (
            "[1, 2]",
            {},
            "train.yaml: expected settings such as epochs: 100 in YAML, .* expected at the top, found \\[1, 2\\]",
        ),
        ("a: [", {}, "train.yaml: expected settings such as epochs: 100 in YAML, but it cannot be read: line 2: "),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, text: str, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read_train_config(written(tmp_path, text), changes)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.yaml: expected settings .* cannot be read: No such file"):
        read_train_config(tmp_path / "none.yaml", {})
