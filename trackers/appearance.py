"""What detections look like: feature vectors, computed when a tracker asks for them, each at most once a frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trackers.types import FloatArray, IntArray, checked_rows, unit

Embed = Callable[[IntArray], npt.ArrayLike]


class Appearance:
    """The features of the `count` detections of one frame.

    `source` holds them all, (count, D), or is a function from rows (K,) to features (K, D); then the tracker asks for
    as few as it can. The zero vector stands for unknown. Raises ValueError for features of another shape.
    """

    def __init__(self, count: int, source: npt.ArrayLike | Embed) -> None:
        self.lazy = callable(source)
        self._embed: Embed | None = source if callable(source) else None
        self._known = np.zeros(count, bool)
        self._features = np.zeros((count, 0))
        if not callable(source):
            self._features = unit(checked_rows("features", source, (count, -1)))
            self._known[:] = True

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which detections have been looked at."""
        return self._known

    def of(self, rows: IntArray) -> FloatArray:
        """Return the features (K, D) of detections `rows` (K,), of unit length."""
        new = np.unique(rows[~self._known[rows]])
        if len(new) and self._embed is not None:
            found = unit(checked_rows("features", self._embed(new), (len(new), -1)))
            if not self._features.shape[1]:
                self._features = np.zeros((len(self._known), found.shape[1]))
            self._features[new] = found
            self._known[new] = True
        return self._features[rows]
