"""The number of cores that a process may use, and the names of devices."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamdet import machine
from streamdet.errors import InputError


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process of 64 cores, in a control group that the test writes."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    machine.core_count.cache_clear()
    yield
    machine.core_count.cache_clear()


@pytest.mark.parametrize(
    ("limit", "expected"), [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 64)]
)
def test_a_container_s_quota_counts(tmp_path: Path, limit: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert machine.core_count() == expected


@pytest.mark.parametrize(("quota", "expected"), [("300000\n", 3), ("-1\n", 64), ("6400000000\n", 64)])
def test_a_quota_of_the_first_version_counts(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.core_count() == expected


def test_without_a_quota_the_affinity_counts() -> None:
    assert machine.core_count() == 64


@pytest.mark.parametrize(
    ("name", "device"), [("1", "cuda:1"), ("cuda:1", "cuda:1"), ("cuda", "cuda:0"), ("0", "cuda:0")]
)
def test_a_gpu_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch, name: str, device: str) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert machine.resolve_device(name) == device


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("2", "device '2' was asked for, but torch .* sees 2 CUDA devices"),
        ("0,1", "device must be auto, cpu or cuda:N, got '0,1'"),
        ("cuda0", "device must be auto, cpu or cuda:N, got 'cuda0'"),
        ("", "device must be auto, cpu or cuda:N, got ''"),
    ],
)
def test_a_device_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, sentence: str) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(InputError, match=sentence):
        machine.resolve_device(name)
