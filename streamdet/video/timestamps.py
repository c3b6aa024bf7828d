"""Checks of a decoded video: its timestamps are repaired where they do not grow, its losses are counted."""

from __future__ import annotations

from fractions import Fraction

import av
from av.container import InputContainer

# A duration may miss this much at its end: containers round it and count the last frame differently.
_SLACK_S = 1.0


class Timestamps:
    """Repairs the timestamps of one stream, one after the other, so that they always grow.

    Timestamps are in ticks of the stream's time base; `offset` is added to all of them. A missing one is set `period`
    ticks after its predecessor; a repeated or slightly earlier one becomes the next tick. After a jump back of more
    than `restart` ticks (a camera that restarted its clock) time continues from where it was. `repaired` counts the
    timestamps that did not grow.
    """

    def __init__(self, period: int, restart: int, offset: int = 0) -> None:
        self.repaired = 0
        self._period, self._restart, self._offset = max(period, 1), restart, offset
        self._last: int | None = None

    def next(self, pts: int | None) -> int:
        """Return the timestamp of the next frame, whose stored timestamp is `pts`, None if it has none."""
        self._last = self._repair(pts)
        return self._last

    def _repair(self, pts: int | None) -> int:
        if pts is None:
            return 0 if self._last is None else self._last + self._period
        shifted = pts + self._offset
        if self._last is None or shifted > self._last:
            return shifted
        self.repaired += 1
        if self._last - shifted <= self._restart:
            return self._last + 1
        self._offset = self._last + self._period - pts
        return pts + self._offset


class Completeness:
    """Compares what could be decoded of one stream of a file with what the file declares.

    ISO media (mp4, mov) lists every sample, also those that an edit list hides; other formats declare at most a
    duration.
    """

    def __init__(self, container: InputContainer, stream: av.VideoStream) -> None:
        self._stream = stream
        self._lists_samples = "mp4" in container.format.name
        self._declared_s = _declared_duration_s(container, stream)
        self._read = self._hidden = self._decoded = 0
        self._end_s = 0.0
        self._expected: int | None = None
        self._ended = False

    def add_packet(self, packet: av.Packet) -> None:
        """Count a packet of the stream."""
        self._read += packet.size > 0
        self._hidden += packet.is_discard

    def add_frame(self, frame: av.VideoFrame) -> None:
        """Count a decoded frame."""
        self._decoded += 1
        if frame.pts is not None and self._stream.time_base:
            self._end_s = max(self._end_s, float(frame.pts * self._stream.time_base))

    def end(self) -> None:
        """Note that the file has been read to its end; must be called before the container is closed."""
        self._ended = True
        if self._lists_samples:
            self._expected = len(self._stream.index_entries)

    def loss(self, damaged: int) -> str | None:
        """Return what is missing as the end of a sentence about the file, or None.

        `damaged` is the number of packets and frames that could not be decoded or are flagged corrupt.
        """
        if self._expected is not None and self._decoded + self._hidden < self._expected:
            verb = "ends early" if self._read < self._expected else "is damaged"
            return f"{verb}: {self._decoded} of {self._expected - self._hidden} frames could be decoded"
        if self._ended and self._declared_s and self._end_s + _SLACK_S < self._declared_s:
            return f"ends early: {self._end_s:.1f} of {self._declared_s:.1f} s could be decoded"
        if damaged:
            return f"is damaged: {damaged} corrupt packets or frames, {self._decoded} frames could be decoded"
        return None


def _declared_duration_s(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Return the duration of the video stream itself, since that of the whole file may be the sound's."""
    if stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if tag := stream.metadata.get("DURATION"):  # Matroska, HH:MM:SS.fraction
        hours, minutes, seconds = (Fraction(part) for part in tag.strip("\0 ").split(":"))
        return float(3600 * hours + 60 * minutes + seconds)
    if len(container.streams) == 1 and container.duration:
        return float(container.duration / av.time_base)
    return None
