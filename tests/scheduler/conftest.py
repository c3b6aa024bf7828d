"""Fixtures of the tests of the scheduler."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from streamdet.scheduler.scheduler import Scheduler


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    """A scheduler of which no thread may survive the test."""
    scheduler = Scheduler()
    yield scheduler
    assert scheduler.close(time.monotonic() + 5) == 0
