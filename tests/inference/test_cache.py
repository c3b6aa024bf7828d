"""The cache of graphs: found by content, whole or not at all, and never in the way."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import streamdet
from streamdet.errors import InputError
from streamdet.files import cache_folder
from streamdet.inference import cache
from streamdet.inference.cache import cached_graph


@pytest.fixture
def conversions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replaces the conversion by one that copies the weights, and counts."""
    converted: list[Path] = []

    def convert(path: Path, _: str | None, __: int) -> bytes:
        converted.append(path)
        return b"graph of " + path.read_bytes()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_convert", convert)
    return converted


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "a.pt"
    path.write_bytes(b"weights")
    return path


def entries() -> list[Path]:
    return sorted(cache_folder("graphs").iterdir())


def test_the_second_start_converts_nothing(weights: Path, conversions: list[Path]) -> None:
    assert cached_graph(weights) == cached_graph(weights.with_suffix("")) == b"graph of weights"
    assert conversions == [weights]


def test_other_content_under_the_same_name_is_converted(weights: Path, conversions: list[Path]) -> None:
    cached_graph(weights)
    weights.write_bytes(b"trained on")
    assert cached_graph(weights) == b"graph of trained on"


def test_the_same_content_under_another_name_is_found(weights: Path, conversions: list[Path]) -> None:
    cached_graph(weights)
    cached_graph(weights.rename(weights.with_name("b.pt")))
    assert len(conversions) == 1


def test_other_code_converts_again(weights: Path, conversions: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    cached_graph(weights)
    monkeypatch.setattr(cache, "_code_digest", lambda: b"a new version")
    cached_graph(weights)
    assert len(conversions) == 2


@pytest.mark.parametrize("source", ["inference/graph.py", "inference/session.py", "models/blocks.py"])
def test_all_code_that_converts_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    package = Path(streamdet.__file__).parent
    for folder in ("inference", "models"):
        shutil.copytree(package / folder, tmp_path / folder)
    monkeypatch.setattr(streamdet, "__file__", str(tmp_path / "__init__.py"))
    digest: Callable[[], bytes] = cache._code_digest.__wrapped__
    before = digest()
    assert digest() == before
    with (tmp_path / source).open("a") as file:
        file.write("changed = True\n")
    assert digest() != before


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 100])
def test_a_damaged_entry_is_replaced(weights: Path, conversions: list[Path], damage: bytes) -> None:
    cached_graph(weights)
    (entry,) = entries()
    entry.write_bytes(damage)
    assert cached_graph(weights) == cached_graph(weights) == b"graph of weights"
    assert len(conversions) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, weights: Path, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cached_graph(weights) == cached_graph(weights) == b"graph of weights"
    assert len(conversions) == 2


def test_only_the_newest_graphs_are_kept(
    weights: Path, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 2)
    for age in range(4):
        weights.write_bytes(b"%d" % age)
        cached_graph(weights)
        os.utime(max(entries(), key=lambda entry: entry.stat().st_mtime), (age, age))
    assert {entry.stat().st_mtime for entry in entries()} == {2, 3}


def test_many_starts_at_once_agree_and_leave_nothing_behind(weights: Path, conversions: list[Path]) -> None:
    with ThreadPoolExecutor(8) as starts:
        graphs = set(starts.map(cached_graph, [weights] * 32))
    assert graphs == {b"graph of weights"}
    assert [entry.suffix for entry in entries()] == [".kept"]


def test_weights_that_are_not_there_are_refused(tmp_path: Path, conversions: list[Path]) -> None:
    with pytest.raises(InputError, match=r"no weights found: expected a file .*none\.pt"):
        cached_graph(tmp_path / "none.pt")


def test_a_cached_start_does_not_import_torch(data: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from streamdet.detect.detector import Detector; "
        f"Detector({str(data / 'weights' / 'yolov8n.pt')!r}, device='cpu', backend='onnx'); "
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    run = [
        subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [process.stdout.strip() for process in run] == ["True", "False"]


def test_an_architecture_by_name_or_in_a_changed_file_is_converted_anew(
    tmp_path: Path, weights: Path, conversions: list[Path]
) -> None:
    table = tmp_path / "mine.yaml"
    for text in ("nc: 2", "nc: 3", "nc: 3"):
        table.write_text(text)
        cached_graph(weights, str(table))
    for arch in (None, "yolov8n", "yolov8s", "yolov8n"):
        cached_graph(weights, arch)
    assert len(conversions) == 5


def test_another_number_of_labels_is_converted_anew(weights: Path, conversions: list[Path]) -> None:
    for labels in (1, 2, 1, 2):
        cached_graph(weights, labels=labels)
    assert len(conversions) == 2
