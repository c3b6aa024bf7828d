"""A recording in segments of a fixed length, of which the oldest are removed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from streamdet.types import UInt8Array, VideoInfo
from streamdet.values import Keep
from streamdet.video.sink import VideoSink

_STAMP = "%Y%m%d-%H%M%S"
_STAMPED = re.compile(r"-\d{8}-\d{6}(-\d+)?$")


class SegmentedSink:
    """A `VideoSink` for each part of a recording: ``today.mp4`` becomes ``today-20261130-140000.mp4`` and so on.

    A segment begins with the first picture that is `segment_s` later than the first one of the segment before, by
    their own times, and is named after the local time at which it begins. The oldest segments beyond `keep` are removed
    whenever one begins, those of earlier runs into the same place too; the one that is written is never removed.
    `now_unix_s` replaces the clock. Raises as `VideoSink` does.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        info: VideoInfo,
        segment_s: float,
        keep: Keep | None = None,
        now_unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._info = Path(path), info
        self._segment_s = Fraction(segment_s).limit_denominator(1000)
        self._keep, self._now_unix_s = keep or Keep(), now_unix_s
        self._began: Fraction | None = None  # the time of the first picture of the segment
        self._warnings: list[str] = []
        self._count, self._first = 0, Path(path)
        self._sink = self._next_sink()

    @property
    def path(self) -> Path:
        """The segment that is being written."""
        return self._current

    @property
    def warnings(self) -> list[str]:
        """One sentence for each difference between the segments and their source, without repetitions."""
        return list(dict.fromkeys([*self._warnings, *self._sink.warnings]))

    @property
    def written(self) -> str:
        """What has been written, in words: the first segment, and how many followed; empty before the first picture."""
        more = f" and {self._count - 1} more" if self._count > 1 else ""
        return f"{self._first}{more}" if self._count else ""

    def write(self, image: UInt8Array, pts: int, time_base: Fraction) -> None:
        """Append `image`, uint8 (H, W, 3) RGB, shown at `pts` ticks of `time_base` s; may begin a new segment."""
        shown = pts * time_base
        if self._began is not None and not 0 <= shown - self._began < self._segment_s:
            self._sink.close()
            self._warnings = self.warnings
            self._sink, self._began = self._next_sink(), None
        if self._began is None:
            self._began = shown
            self._count += 1
            self._first = self._current if self._count == 1 else self._first
            self._remove_old()
        self._sink.write(image, pts, time_base)

    def close(self) -> None:
        """Complete the last segment."""
        self._sink.close()

    def __enter__(self) -> SegmentedSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _next_sink(self) -> VideoSink:
        stamp = datetime.fromtimestamp(self._now_unix_s()).strftime(_STAMP)
        self._current, number = self._path.with_stem(f"{self._path.stem}-{stamp}"), 2
        while self._current.exists():  # two segments in one second
            self._current = self._path.with_stem(f"{self._path.stem}-{stamp}-{number}")
            number += 1
        return VideoSink(self._current, info=self._info)

    def _remove_old(self) -> None:
        """Remove the oldest segments until the others are within the limits."""
        if self._keep == Keep():
            return
        segments = [each for each in self._path.parent.iterdir() if self._is_segment(each) and each != self._current]
        found = sorted((stat.st_mtime, stat.st_size, each) for each in segments if (stat := each.stat()))
        size_bytes = sum(size for _, size, _ in found)
        for modified_s, size, segment in found:
            is_old = self._keep.age_s is not None and self._now_unix_s() - modified_s > self._keep.age_s
            is_much = self._keep.size_bytes is not None and size_bytes > self._keep.size_bytes
            if not (is_old or is_much):
                return
            segment.unlink(missing_ok=True)
            size_bytes -= size

    def _is_segment(self, path: Path) -> bool:
        own = path.name.startswith(f"{self._path.stem}-") and path.suffix == self._path.suffix
        return own and _STAMPED.fullmatch(path.stem[len(self._path.stem) :]) is not None and path.is_file()
