"""Archives of torch.export: the same numbers as torch, and nothing in the file is run."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from streamdet.appearance import AppearanceModel
from streamdet.errors import InputError
from streamdet.inference.exported_program import ExportedProgram
from streamdet.inference.load import load_embedder

from .networks import SmallNetwork, save_exported

CROPS = np.random.default_rng(0).standard_normal((5, 3, 16, 8)).astype(np.float32)


class Payload:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def pickled(marker: Path) -> Callable[[bytes], bytes]:
    """Return a change of a file into a pickle that makes the folder `marker`."""
    buffer = io.BytesIO()
    torch.save(Payload(marker), buffer)
    return lambda _: buffer.getvalue()


def rewritten(source: Path, target: Path, changes: dict[str, Callable[[bytes], bytes]]) -> Path:
    """Copy an archive, with the files whose names end in a key of `changes` changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            change = next((change for end, change in changes.items() if name.endswith(end)), bytes)
            new.writestr(name, change(old.read(name)))
    return target


def edited(edit: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    """Return a change of a JSON file."""

    def change(content: bytes) -> bytes:
        parsed = json.loads(content)
        edit(parsed)
        return json.dumps(parsed).encode()

    return change


def test_the_numbers_are_those_of_torch(small_network: nn.Module, small_archive: Path) -> None:
    program = ExportedProgram(small_archive, "cpu")
    assert program.inputs == [(None, 3, 16, 8)]
    for crops in map(torch.from_numpy, (CROPS, CROPS[:1], CROPS[2:4])):
        with torch.inference_mode():
            assert_allclose(program(crops), small_network(crops), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch, about its own code
def test_decomposed_into_core_operators(small_network: nn.Module, tmp_path: Path) -> None:
    batch = torch.export.Dim("b", min=1, max=64)
    program = torch.export.export(small_network, (torch.zeros(2, 3, 16, 8),), dynamic_shapes=({0: batch},))
    torch.export.save(program.run_decompositions(), tmp_path / "core.pt2")
    crops = torch.from_numpy(CROPS)
    with torch.inference_mode():
        assert_allclose(ExportedProgram(tmp_path / "core.pt2", "cpu")(crops), small_network(crops), rtol=0, atol=1e-6)


def test_a_session_of_an_archive_says_what_it_is(small_network: nn.Module, small_archive: Path) -> None:
    session = load_embedder(small_archive)
    card = session.card
    assert (card.task, card.preprocessing, card.layout, card.input_hw) == ("embed", "imagenet", "features", (16, 8))
    with torch.inference_mode():
        expected = small_network(torch.from_numpy(CROPS)).numpy()
    assert_allclose(session(CROPS), expected, rtol=0, atol=1e-3)


def test_an_appearance_model_from_an_archive(small_archive: Path) -> None:
    model = AppearanceModel(small_archive)
    image = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    boxes = np.array([[0, 0, 20, 40], [10, 5, 30, 35], [99, 0, 120, 9]], np.float32)
    features = model.embed(image, boxes)
    assert model.dimension == 6
    assert_allclose(np.linalg.norm(features, axis=1), [1, 1, 0], atol=1e-6)
    assert_allclose(model.embed(image, boxes[1:2]), features[1:2], atol=1e-5)


@pytest.mark.gpu
def test_the_numbers_on_a_gpu(small_network: nn.Module, small_archive: Path) -> None:
    with torch.inference_mode():
        expected = small_network(torch.from_numpy(CROPS)).numpy()
    session = load_embedder(small_archive)
    assert session.device == "cuda:0"
    assert_allclose(session(CROPS), expected, rtol=0, atol=1e-3)


def test_values_are_dropped_after_their_last_use(small_archive: Path) -> None:
    """Else a network would keep all it ever computed."""
    program = ExportedProgram(small_archive, "cpu")
    values: dict[Any, Any] = {**program._constants, program._input_names[0]: torch.from_numpy(CROPS)}
    with torch.inference_mode():
        for step in program._steps:
            step.run(values)
    unused = {name for name in values if name.startswith("b_") and name.endswith("num_batches_tracked")}
    assert set(values) - unused == {program._output}


def test_sample_inputs_are_not_unpickled(small_archive: Path, tmp_path: Path) -> None:
    changes = {"sample_inputs/model.pt": pickled(tmp_path / "ran")}
    assert AppearanceModel(rewritten(small_archive, tmp_path / "hostile.pt2", changes)).dimension == 6
    assert not (tmp_path / "ran").exists()


def pickled_weight(source: Path, folder: Path) -> Path:
    """Return an archive in which a weight is a program that makes the folder ``ran``."""

    def edit(index: Any) -> None:
        index["config"]["stem.0.weight"] |= {"use_pickle": True, "path_name": "weight_0"}

    changes = {"model_weights_config.json": edited(edit), "weights/weight_0": pickled(folder / "ran")}
    return rewritten(source, folder / "pickled.pt2", changes)


def test_a_pickled_weight_is_refused(small_archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pickled\.pt2: expected .*found 'stem\.0\.weight' stored as a pickle"):
        AppearanceModel(pickled_weight(small_archive, tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore")
def test_that_weight_would_run_in_the_loader_of_torch(small_archive: Path, tmp_path: Path) -> None:
    with suppress(Exception):
        torch.export.load(pickled_weight(small_archive, tmp_path))
    assert (tmp_path / "ran").exists()


def test_expressions_and_guards_are_not_evaluated(small_archive: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"

    def edit(program: Any) -> None:
        program["guards_code"] = [code]
        for value in program["graph_module"]["graph"]["sym_int_values"].values():
            value["as_expr"]["expr_str"] = code

    path = rewritten(small_archive, tmp_path / "guards.pt2", {"models/model.json": edited(edit)})
    assert AppearanceModel(path).dimension == 6
    assert not marker.exists()


@pytest.mark.parametrize(
    ("target", "text", "found"),
    [
        ("torch.ops.aten.from_file.default", True, "the operator torch.ops.aten.from_file.default, which is not run"),
        ("torch.ops.aten.save.default", True, "the operator torch.ops.aten.save.default, which is not run"),
        ("torch.ops.aten._print.default", False, "the operator torch.ops.aten._print.default, which is not run"),
        ("torch.ops.aten.relu.__init__", False, "the operator torch.ops.aten.relu.__init__, which is none of ATen's"),
        ("torch.ops.aten.nothing.default", False, "torch.ops.aten.nothing.default, which is none of ATen's"),
        ("torch.ops.prims.exp.default", False, "the operator torch.ops.prims.exp.default, which is none of ATen's"),
        ("os.system", True, "the operator os.system, which is none of ATen's"),
    ],
)
def test_operators_that_may_do_more_than_compute_are_refused(
    small_archive: Path, tmp_path: Path, target: str, text: bool, found: str
) -> None:
    marker = tmp_path / "written"
    argument = {"as_string": str(marker)} if text else {"as_int": 1}
    node = {"target": target, "inputs": [{"name": "x", "arg": argument, "kind": 1}], "outputs": [], "metadata": {}}

    def edit(program: Any) -> None:
        program["graph_module"]["graph"]["nodes"].append(node)

    path = rewritten(small_archive, tmp_path / "operator.pt2", {"models/model.json": edited(edit)})
    with pytest.raises(InputError) as refusal:
        AppearanceModel(path)
    assert found in str(refusal.value)
    assert not marker.exists()


def test_a_network_in_training_mode_is_refused(tmp_path: Path) -> None:
    """Its features would depend on the batch."""
    path = save_exported(SmallNetwork().train(), tmp_path / "training.pt2")
    with pytest.raises(InputError, match=r"found a network in training mode; call eval\(\) before the export"):
        AppearanceModel(path)


def _newer(program: Any) -> None:
    program["schema_version"]["major"] = 9


def _two_outputs(program: Any) -> None:
    program["graph_module"]["signature"]["output_specs"] *= 2


def _no_nodes(program: Any) -> None:
    del program["graph_module"]["graph"]["nodes"]


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (_newer, "found version 9 of its format, not 8"),
        (_two_outputs, r"found outputs \['user_output', 'user_output'\], not one tensor"),
        (_no_nodes, r"found malformed content \(KeyError: 'nodes'\)"),
    ],
)
def test_other_archives_are_refused(
    small_archive: Path, tmp_path: Path, edit: Callable[[Any], None], found: str
) -> None:
    path = rewritten(small_archive, tmp_path / "other.pt2", {"models/model.json": edited(edit)})
    with pytest.raises(InputError, match=r"other\.pt2: expected an archive of torch\.export\.save, " + found):
        AppearanceModel(path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.pt2"
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match=r"damaged\.pt2: expected .*, found File is not a zip file"):
        AppearanceModel(path)


def test_a_weight_that_is_cut_short_is_refused(small_archive: Path, tmp_path: Path) -> None:
    path = rewritten(small_archive, tmp_path / "short.pt2", {"weights/weight_0": lambda content: content[:8]})
    with pytest.raises(InputError, match=r"short\.pt2: expected .*, found malformed content \(RuntimeError: "):
        AppearanceModel(path)
