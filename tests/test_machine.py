"""The number of cores that a process may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamdet import machine


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
