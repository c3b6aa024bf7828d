"""Tables and descriptions far larger than any network end in a sentence, before they fill the memory."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from streamdet.errors import InputError
from streamdet.models.table import ModelSpec, load_spec, resolve
from streamdet.models.weights import Network, load_model

Table = dict[str, Any]


def table(backbone: list[Any], **keys: Any) -> Table:
    """A table of three layers that reach a stride of 8 px, of `backbone`, and of a head for two classes."""
    down = [-1, 1, "Conv", [64, 3, 2]]
    return {"nc": 2, "backbone": [down, down, down, *backbone], "head": [[[-1], 1, "Detect", ["nc"]]]} | keys


def nested(levels: int) -> list[Any]:
    value: list[Any] = [1]
    for _ in range(levels):
        value = [value] * 9
    return value


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (table([[-1, 1, "Conv", [64, 3, 2]]] * 20), "t, row 10 (Conv): expected a cell at least every 1024 px, fou"),
        (table([[[2] * 5000, 1, "Concat", [1]]]), "t, row 3: expected at most 100 rows to read and 20 arguments, fo"),
        (table([[-1, 1, "Conv", [8] + [1] * 5000]]), "t, row 3: expected at most 100 rows to read and 20 arguments, f"),
        (table([[[-1] * 99, 1, "Concat", [1]]] * 3), "t, row 5 (Concat): expected at most 1000000 channels, fou"),
        (table([[-1, 10**5000, "C2f", [64]]]), "t, row 3: expected 1 to 2000 repeats, found a number of 16610 bits"),
        (table([[-1, 1, "SPPF", [64, 4]]]), "t, row 3 (SPPF): expected an odd kernel, which keeps the size of the m"),
        (table([[-1, 1, "nn.Upsample", [None, 10**6, "nearest"]]]), "t, row 3 (nn.Upsample): expected a factor that"),
        (table([[-1, 1, "nn.Upsample", [None, 2, "near"]]]), "t, row 3 (nn.Upsample): expected one of nearest, neare"),
        (table([[-1, 1, "x" * 10**6, [64]]]), "t, row 3: unknown module 'xxxx"),
        (table([[-1, 1, "Conv", [10**9]]]), "t, row 3 (Conv): expected a whole number from 1 to 1000000 as channels"),
        (table([[-1, 1, "Conv", [8]]] * 2001), "t: expected at most 2000 rows under 'backbone', found 2004"),
        (table([], names=["x" * 10**6, "y"]), "t: expected class names of at most 200 characters, found 1000000: 'xx"),
        (table([], names=["x"] * 10_001), "t: expected at most 10000 class names, found 10001"),
        (table([], names=[10**5000, 1]), "t: expected class names as a list or numbered from 0, found list"),
        (table([], names=[True, False]), "t: expected class names as a list or numbered from 0, found list"),
        (table([], scales={"n": [1, 1]}, scale=nested(40)), "t: unknown scale [[[[...], [...], "),
        (table([nested(40)]), "t, row 3: expected [from, repeats, module, args], found [[[[...], [...], "),
    ],
    ids=range(17),
)  # fmt: skip
def test_a_table_beyond_any_network_is_one_sentence(stated: Table, message: str) -> None:
    with pytest.raises(InputError) as refused:
        resolve(stated, "t")
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_parameters_are_counted_before_they_are_made(device: str) -> None:
    spec = resolve(table([[-1, 1, "Conv", [10**6, 3]], [-1, 1, "Conv", [10**6, 3]]]), "t")
    with (
        torch.device(device),
        pytest.raises(InputError, match="t: expected at most 1,000,000,000 parameters, found 29"),
    ):
        Network(spec)


def test_a_table_of_many_rows_is_refused_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("nc: 2\nbackbone:\n" + "- [-1, 1, Conv, [8]]\n" * 40_000)
    with pytest.raises(InputError, match=r"expected a model table in YAML, .* it states more than 100,000 values"):
        load_spec(tmp_path / "deep.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: spec | {"name": "x" * 10**7}, "expected a model description of at most 10,000,000 characters"),
        (lambda spec: spec | {"class_names": ["x" * 10**6, "y"]}, "tiny: expected class names of at most 200 charact"),
        (lambda spec: spec["layers"][0].update(args=[1] * 21), "tiny, row 0: expected at most 100 rows to read and 20"),
        (lambda spec: spec["layers"][1].update(args=[8, 16, 9999, 2]), "tiny: expected at most 1,000,000,000 param"),
        (
            lambda spec: spec["layers"][0].update(repeats=10**30),
            "tiny, row 0: expected 1 to 2000 repeats, found 1000",
        ),
    ],
)
def test_a_stored_description_beyond_any_network_is_one_sentence(
    tmp_path: Path, tiny: ModelSpec, change: Callable[[Any], Any], message: str
) -> None:
    spec = json.loads(tiny.to_json())
    spec = change(spec) or spec
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {"streamdet": json.dumps(spec)})
    with pytest.raises(InputError, match=re.escape(message)) as refused:
        load_model(tmp_path / "a.safetensors")
    assert len(str(refused.value)) < 300
