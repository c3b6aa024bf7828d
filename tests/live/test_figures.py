"""What `benchmarks/live.py` makes of what was sent and seen."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.watching.clips import Objects
from benchmarks.watching.figures import Seen, delays_ms, growth, numbered, percentiles
from benchmarks.watching.identity import Kept, ids_of
from streamdet.types import Tracks


def test_pictures_are_numbered_across_the_beginnings_of_a_clip() -> None:
    sent = {number: float(number) for number in range(40)}
    seen = [Seen(8, 18.5), Seen(9, 19.5), Seen(0, 22.0), Seen(4, 24.25), Seen(3, 40.0)]
    assert numbered(seen, sent, 10) == [18, 19, 20, 24, 33]
    assert delays_ms(seen, sent, 10) == pytest.approx([500, 500, 2000, 250, 7000])


def test_percentiles() -> None:
    assert percentiles(np.arange(101.0)) == pytest.approx((50, 95, 99))
    assert percentiles([]) == pytest.approx((np.nan, np.nan, np.nan), nan_ok=True)


def test_growth_is_the_slope_that_fits_best() -> None:
    assert growth([0, 60, 120, 180], [7, 9, 11, 13]) == pytest.approx(2 / 60)
    assert growth([0, 1, 2], [0, 3, 0]) == pytest.approx(0)


def test_objects_keep_the_ids_of_the_tracks_on_them() -> None:
    boxes = np.array([[0, 0, 10, 20], [100, 0, 110, 20], [200, 0, 210, 20]], np.float32)
    objects = Objects(np.array([5, 6, 7]), boxes)

    def seen(*ids: int) -> dict[int, int]:
        n = len(ids)
        return ids_of(objects, Tracks(ids, boxes[:n] + 1, np.ones(n), np.zeros(n, int), np.arange(n)))

    assert seen(1, 2) == {5: 1, 6: 2}
    assert seen() == {}
    kept = Kept()
    kept.add(seen(1, 2), seen(1, 3, 4))
    kept.add(seen(1, 3), seen(1, 3))
    assert (kept.both, kept.same, kept.percent) == (4, 3, 75)
