"""Figures of what was sent and seen: which picture was seen when, percentiles, growth."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamdet.result import Result
from tests.live.counter import mark_in

Floats = npt.NDArray[np.float64]


class Seen(NamedTuple):
    """A picture in a result: the number that is drawn into it, and when the result was read, in s.

    `age_s` is its age by the product's own count, since its arrival; `captured_s` what it says of the time of capture.
    """

    mark: int
    time_s: float
    age_s: float = 0.0
    captured_s: float | None = None


class Record:
    """What was `seen` of one camera, and how many results showed a picture whose number is `unreadable`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.unreadable = 0

    def take(self, result: Result) -> int | None:
        """Note `result` as read now; return the number in its picture, None where it cannot be read."""
        now_s, frame = time.monotonic(), result.frame
        number = mark_in(frame.image)
        if number is None:
            self.unreadable += 1
        else:
            self.seen.append(Seen(number, now_s, now_s - frame.received_at, frame.captured_at))
        return number


def numbered(seen: Sequence[Seen], sent: Mapping[int, float], count: int) -> list[int]:
    """Return which of the pictures of an endless film was seen each time, where marks begin again after `count`.

    The first is the newest one `sent` before with that mark; each other one follows the one before it in order. `sent`
    tells by number when a picture was sent.
    """
    numbers: list[int] = []
    for each in seen:
        if numbers:
            numbers.append(numbers[-1] + (each.mark - numbers[-1]) % count)
        else:
            numbers.append(max(n for n, at_s in sent.items() if n % count == each.mark and at_s <= each.time_s))
    return numbers


def delays_ms(seen: Sequence[Seen], sent: Mapping[int, float], count: int) -> Floats:
    """Return the time in ms from the sending of each picture until it was seen."""
    numbers = numbered(seen, sent, count)
    return np.array([1e3 * (each.time_s - sent[n]) for each, n in zip(seen, numbers, strict=True)])


def percentiles(values: Sequence[float] | Floats) -> tuple[float, float, float]:
    """Return p50, p95 and p99 of `values`, NaN of none."""
    if not len(values):
        return np.nan, np.nan, np.nan
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return float(p50), float(p95), float(p99)


def growth(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the line that fits `values` at `times` best, by least squares."""
    centred = np.asarray(times) - np.mean(times)
    return float(centred @ np.asarray(values) / (centred @ centred))
