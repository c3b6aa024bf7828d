"""Brings grey pictures of more than 8 bits, as from thermal cameras, to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.options import Levels
from streamdet.types import UInt8Array

# The share of samples, in percent, below black and above white: single hot or dead pixels do not decide.
_PERCENTILES = (0.1, 99.9)
_FULL = (0.0, 65535.0)


class LevelScaler:
    """Converts grey pictures, u16 (H, W), to RGB, u8 (H, W, 3), by levels that stay the same for the whole video.

    With "full" 0 is black and 65535 white. With "auto" black and white are the 0.1 and 99.9 percentile of the first
    picture, since a sensor of 14 bits, or a scene of a few degrees, fills only a small part of the range.
    """

    def __init__(self, choice: Levels) -> None:
        self._levels = _FULL if choice == "full" else None

    def __call__(self, picture: npt.NDArray[Any]) -> UInt8Array:
        """Return `picture` as RGB."""
        if self._levels is None:
            low, high = np.percentile(picture, _PERCENTILES)
            self._levels = float(low), float(high)
        low, high = self._levels
        scaled = (picture.astype(np.float32) - low) * (255 / max(high - low, 1.0))
        grey = np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
