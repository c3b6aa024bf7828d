import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from streamdet.errors import InputError, OutputError
from streamdet.train.state import EpochRow, Position, load_state, save_state, write_history

SETTINGS = {"lr0": 0.01, "model": "small"}
LOSSES = {"box": 1.5, "cls": 2.5, "dfl": 3.5}
FIRST, SECOND, THIRD = (
    EpochRow(epoch, LOSSES, {"map50_95": score, "map50": 0.5}, 0.01) for epoch, score in enumerate((0.1, 0.3, 0.3))
)


def position() -> Position:
    return Position(2, 7, dict.fromkeys(LOSSES, 1.0), [FIRST, SECOND])


def tensors() -> dict[str, Any]:
    return {"network": {"w": torch.arange(6.0).reshape(2, 3)}, "updates": 5}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.pt"
    save_state(path, position(), SETTINGS, tensors())
    return path


def test_what_is_loaded_is_what_was_saved(state: Path) -> None:
    loaded, found = load_state(state, SETTINGS)
    assert loaded == position()
    assert found["updates"] == 5
    assert torch.equal(found["network"]["w"], tensors()["network"]["w"])


@pytest.mark.parametrize(("key", "value"), [("lr0", 0.02), ("model", "big"), ("seed", 3)])
def test_other_settings_are_refused(state: Path, key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"state.pt: the training began with {key} .*, which is now {value!r}"):
        load_state(state, SETTINGS | {key: value})


def test_a_truncated_file_is_refused_wherever_it_ends(state: Path) -> None:
    whole = state.read_bytes()
    for length in range(0, len(whole), 97):
        state.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"state.pt: expected the state of a training"):
            load_state(state, SETTINGS)


class Hostile:
    """Unpickled without care, it would create a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("save", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))])
def test_a_hostile_file_is_refused_and_does_nothing(tmp_path: Path, save: Any) -> None:
    path, trace = tmp_path / "state.pt", tmp_path / "trace"
    save({"position": Hostile(trace), "settings": {}, "tensors": {}}, path)
    with pytest.raises(InputError, match="expected the state of a training, found a damaged file or another one"):
        load_state(path, SETTINGS)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"position": {}, "settings": {}},
        {"position": {"epoch": 0, "history": [{"epoch": 1}]}, "settings": {}, "tensors": {}},
        {"position": {"epoch": 0, "history": [], "other": 1}, "settings": {}, "tensors": {}},
        {"position": {"epoch": 0, "history": []}, "settings": 5, "tensors": {}},
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "state.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match="expected the state of a training, found a damaged file or another one"):
        load_state(path, SETTINGS)


@pytest.mark.parametrize("text", ["", "epochs: 3\n", "\x80"])
def test_a_text_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.pt"
    path.write_text(text)
    with pytest.raises(InputError, match="expected the state of a training, found a damaged file or another one"):
        load_state(path, SETTINGS)


def test_a_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    rows = [{"epoch": 0, **LOSSES, "map50_95": 0.1, "map50": 0.5, "lr": 0.01}]
    stated = {"epoch": 1, "batch": 2, "sums": [1.5, 2.5, 3.5], "history": rows}
    torch.save({"position": stated, "settings": SETTINGS, "tensors": {}}, tmp_path / "state.pt")
    found, _ = load_state(tmp_path / "state.pt", SETTINGS | {"box_loss": "ciou", "label_smoothing": 0.0})
    assert found == Position(1, 2, LOSSES, [FIRST])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.pt: expected the state .* cannot be read: No such file or directory"):
        load_state(tmp_path / "none.pt", SETTINGS)


def test_a_failure_while_writing_keeps_the_former_state(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(what: object, path: Path) -> None:
        path.write_bytes(b"the first half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fill_the_disk)
    with pytest.raises(OutputError, match=r"state.pt: the state of the training cannot be written: .*No space left"):
        save_state(state, Position(epoch=9), SETTINGS, {})
    monkeypatch.undo()
    assert load_state(state, SETTINGS)[0] == position()
    assert list(state.parent.iterdir()) == [state]  # what was written of the new one fills the disk no more


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"gone/state.pt: the state of the training cannot be written"):
        save_state(tmp_path / "gone" / "state.pt", position(), SETTINGS, {})


def test_the_best_epoch_is_the_first_of_equals_and_needs_a_score() -> None:
    unscored = EpochRow(0, LOSSES, {"map50_95": math.nan, "map50": math.nan}, 0.01)
    assert Position(history=[FIRST, SECOND, THIRD]).best is SECOND
    assert Position(history=[unscored, FIRST]).best is FIRST
    assert Position(history=[unscored]).best is None
    assert Position().best is None


def test_the_history_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_history(path, [FIRST, SECOND])
    assert path.read_text().splitlines() == [
        "epoch,box,cls,dfl,map50_95,map50,lr",
        "0,1.5,2.5,3.5,0.1,0.5,0.01",
        "1,1.5,2.5,3.5,0.3,0.5,0.01",
    ]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError, match=r"gone/results.csv: the epochs cannot be written: No such file"):
        write_history(tmp_path / "gone" / "results.csv", [FIRST])
