"""Fixtures of the tests of runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.pipeline.fakes import soon


@pytest.fixture
def no_thread_survives() -> Iterator[None]:
    """Let a test fail that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name != "fake device"]
    assert soon(lambda: not any(thread.is_alive() for thread in left)), left
