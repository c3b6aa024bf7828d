"""What all settings of trackers have in common: their names tell their units, and out of range they are refused."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers and switches of a tracker.

    A name that ends in ``_s`` is a time in s, 0 or more; a whole number counts from 1; any other number is a share, 0
    to 1. Raises ValueError, naming the setting, when a value is out of its range.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(item.default, bool):
                continue
            if item.name.endswith("_s"):
                if not 0 <= value < np.inf:
                    raise ValueError(f"{item.name} must be a time in s, 0 or more, got {value}")
            elif isinstance(item.default, int):
                if not (isinstance(value, int) and value >= 1):
                    raise ValueError(f"{item.name} must be a whole number from 1, got {value}")
            elif not 0 <= value <= 1:
                raise ValueError(f"{item.name} must be between 0 and 1, got {value}")
