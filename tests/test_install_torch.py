"""The set-up never pulls the CUDA build of torch unasked: the installer against a scripted pip."""

import json
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "install_torch.py"


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A pip that resolves to `packages` and remembers its `calls`."""
    fake = SimpleNamespace(packages=["torch", "sympy"], calls=[])

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        fake.calls.append(command)
        report = {"install": [{"metadata": {"name": name}} for name in fake.packages]}
        return SimpleNamespace(returncode=0, stdout=json.dumps(report))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.delenv("CUDA", raising=False)
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    return fake


def install() -> int:
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT))
    return int(ended.value.code or 0)


def test_a_cpu_build_is_installed_with_the_pin(pip: SimpleNamespace) -> None:
    assert install() == 0
    resolved, installed = pip.calls
    assert "--dry-run" in resolved
    assert "--dry-run" not in installed
    assert str(SCRIPT.parents[1] / "constraints.txt") in installed


@pytest.mark.parametrize("package", ["nvidia-cudnn-cu13", "cuda-bindings", "triton"])
def test_a_cuda_build_is_refused_before_any_download(
    pip: SimpleNamespace, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    pip.packages.append(package)
    assert install() == 2
    assert len(pip.calls) == 1
    assert "TORCH_INDEX=URL" in capsys.readouterr().err


def test_a_cuda_build_is_installed_when_it_is_asked_for(pip: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    pip.packages.append("nvidia-cudnn-cu13")
    monkeypatch.setenv("CUDA", "1")
    assert install() == 0
    assert len(pip.calls) == 2


def test_another_index_is_asked_where_it_is_named(pip: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_INDEX", "file:///builds")
    assert install() == 0
    assert all("file:///builds" in call for call in pip.calls)
