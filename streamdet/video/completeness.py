"""Whether all that a file promised could be decoded."""

from __future__ import annotations

from fractions import Fraction

import av
from av.container import InputContainer

# How much of a duration may be missing at the end: containers round it, and count the last frame differently.
_SLACK_S = 1.0


class Completeness:
    """Counts what comes out of one stream of a file and compares it with what the file says about itself.

    ISO media (mp4, mov) lists every sample, also those that an edit list hides; others tell a duration at most.
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
        """The file has been read to its end; to be called before it is closed."""
        self._ended = True
        if self._lists_samples:
            self._expected = len(self._stream.index_entries)

    def loss(self, damaged: int) -> str | None:
        """Return what is missing, as the end of a sentence about the file, or None; `damaged` items were corrupt."""
        if self._expected is not None and self._decoded + self._hidden < self._expected:
            verb = "ends early" if self._read < self._expected else "is damaged"
            return f"{verb}: {self._decoded} of {self._expected - self._hidden} frames could be decoded"
        if self._ended and self._declared_s and self._end_s + _SLACK_S < self._declared_s:
            return f"ends early: {self._end_s:.1f} of {self._declared_s:.1f} s could be decoded"
        if damaged:
            return f"is damaged: {damaged} corrupt packets or frames, {self._decoded} frames could be decoded"
        return None


def _declared_duration_s(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Duration of the video itself: that of the whole file may be the sound's."""
    if stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if tag := stream.metadata.get("DURATION"):  # Matroska, HH:MM:SS.fraction
        hours, minutes, seconds = (Fraction(part) for part in tag.strip("\0 ").split(":"))
        return float(3600 * hours + 60 * minutes + seconds)
    if len(container.streams) == 1 and container.duration:
        return float(container.duration / av.time_base)
    return None
