"""What all tests share: where the reference data lies, and what its absence means."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure: what a property takes is not what it asserts.
settings.register_profile("streamdet", parent=settings(), deadline=None)
settings.load_profile("streamdet")

DATA = Path(os.environ.get("STREAMDET_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real weights, clips and ground truth; tests that need it skip, or fail in CI, without it."""
    if DATA.is_dir():
        return DATA
    reason = f"needs the reference data in {DATA} (set STREAMDET_DATA to its folder)"
    if os.environ.get("STREAMDET_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests on a machine without CUDA."""
    if not any(item.get_closest_marker("gpu") for item in items):
        return
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
