"""What every kind of source is made of: pictures that are decoded, but not yet converted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from streamdet.types import Planes, UInt8Array, VideoInfo


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture at `pts` ticks of `time_base` s; `to_rgb` converts it to uint8 (H, W, 3) RGB when it is wanted.

    `planes` are there where a GPU keeps it, and it needs no turn.
    """

    pts: int
    time_base: Fraction
    to_rgb: Callable[[], UInt8Array]
    planes: Planes | None = None


class Reader(Protocol):
    """A file, stream, webcam or row of images that has been opened."""

    info: VideoInfo
    damaged: int

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that was wrong so far."""

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures in decode order; raises SourceError when a stream stops before its end."""

    def stop(self) -> None:
        """End `pictures` soon; may be called from any thread."""

    def close(self) -> None:
        """Release what is open."""
