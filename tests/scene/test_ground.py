"""Strips and lines cover their share of pixels of any size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scene.ground import between, lines


@given(low=st.floats(-3, 3), width=st.floats(0.1, 4), footprint=st.floats(0.01, 2))
def test_a_strip_covers_as_much_as_it_is_wide(low: float, width: float, footprint: float) -> None:
    centres = (np.arange(-20, 20, footprint) + footprint / 2).astype(np.float32)
    share = between(centres, low, low + width, np.full_like(centres, footprint))
    assert share.sum() * footprint == pytest.approx(width, rel=0.02, abs=0.01)


@given(footprint=st.floats(0.01, 3))
def test_lines_cover_their_share_however_far_away(footprint: float) -> None:
    centres = np.linspace(0, 30, 4001, dtype=np.float32)
    assert lines(centres, 3.0, 0.6, np.full_like(centres, footprint)).mean() == pytest.approx(0.2, abs=0.01)
