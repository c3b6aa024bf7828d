"""Checks of a decoded video: its timestamps are repaired, its rate is estimated, its losses are counted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median

import av
from av.container import InputContainer
from av.format import Flags

# A duration may miss this much at its end: containers round it and count the last frame differently.
_SLACK_S = 1.0
# A clock leaps forward where recordings are joined, or where it overflows: MPEG counts to 2^33 ticks, 26.5 h.
_LEAP_S = 15.0  # where the format tells the times of a clock that may leap
_LONGEST_PAUSE_S = 30 * 3600.0  # where the times are those of the file
# By which a declared rate may differ from that of the packets, which may hold a field or a frame.
_RATE_FACTOR = 2.1
_HIGHEST_RATE_HZ, _USUAL_RATE_HZ = 1000, 120
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")  # Matroska's tag, HH:MM:SS.fraction


class Timestamps:
    """Repairs the timestamps of one stream, one after the other, so that they always grow.

    Timestamps are in ticks of the stream's time base; `offset` is added to all of them. A missing one is set `period`
    ticks after its predecessor; a repeated or slightly earlier one becomes the next tick. After a jump back of more
    than `restart` ticks (a camera that restarted its clock), or forward of more than `leap` ticks (None: of any
    length is true), time continues from where it was. `repaired` counts the timestamps that did not grow, `leaps` the
    jumps forward.
    """

    def __init__(self, period: int, restart: int, *, leap: int | None = None, offset: int = 0) -> None:
        self.repaired = self.leaps = 0
        self.offset = offset
        self._period, self._restart, self._leap = max(period, 1), restart, leap
        self._last: int | None = None
        self._step = self._period  # the latest one that is true

    def next(self, pts: int | None) -> int:
        """Return the timestamp of the next frame, whose stored timestamp is `pts`, None if it has none."""
        self._last = self._repair(pts)
        return self._last

    def _repair(self, pts: int | None) -> int:
        if pts is None:
            return 0 if self._last is None else self._last + self._period
        shifted = pts + self.offset
        if self._last is None:
            return shifted
        step = shifted - self._last
        if step > 0 and (self._leap is None or step <= self._leap):
            self._step = step
            return shifted
        self.repaired, self.leaps = self.repaired + (step <= 0), self.leaps + (step > 0)
        if -self._restart <= step <= 0:
            return self._last + 1
        self.offset = self._last + self._step - pts
        return pts + self.offset


def longest_step_s(container: InputContainer, period_s: float, *, live: bool) -> float:
    """Return how far a timestamp may be after the one before, in s, and still be true."""
    clocked = live or Flags.ts_discont in Flags(container.format.flags)
    return max(_LEAP_S if clocked else _LONGEST_PAUSE_S, 10 * period_s)


class Clock:
    """The times of the packets of a file, which follow those of the video where its clock jumps; as `Timestamps` does.

    `video_s` is the latest time of a packet of the video so far, in s.
    """

    def __init__(self, container: InputContainer, video: av.VideoStream) -> None:
        self.video_s: Fraction = Fraction(0)
        self._base = video.time_base or Fraction(1, 90_000)
        period_s = 1 / (video.average_rate or Fraction(30))
        self._leap_s = longest_step_s(container, float(period_s), live=False)
        leap = round(self._leap_s / self._base)
        self._times = Timestamps(round(period_s / self._base), round(1 / self._base), leap=leap)
        self._offsets = [Fraction(0)]

    def add(self, packet: av.Packet) -> None:
        """Take note of the next packet of the video."""
        ticks = packet.dts if packet.pts is None else packet.pts
        self.video_s = max(self.video_s, self._times.next(ticks) * self._base)
        offset_s = self._times.offset * self._base
        if offset_s != self._offsets[-1]:
            self._offsets.append(offset_s)

    def time(self, packet: av.Packet) -> Fraction:
        """Return the time in s at which `packet` begins."""
        return _time(packet) + self.offset_s(packet)

    def is_astray(self, packet: av.Packet) -> bool:
        """Return whether `packet` is so far from the video that its clock must have jumped."""
        return bool(abs(self.time(packet) - self.video_s) > self._leap_s)

    def offset_s(self, packet: av.Packet) -> Fraction:
        """Return what is to be added to the times of `packet`, in s: the sound may jump before or after the video."""
        return min(self._offsets, key=lambda offset_s: abs(_time(packet) + offset_s - self.video_s))


def _time(packet: av.Packet) -> Fraction:
    return Fraction((packet.pts if packet.pts is not None else packet.dts) * packet.time_base)


def is_plausible(rates: Sequence[Fraction | None]) -> bool:
    """Return whether the declared `rates` in Hz, the best one first, can be believed without a look at the times."""
    known = [rate for rate in rates if rate]
    return bool(known) and 0 < known[0] <= _USUAL_RATE_HZ and max(known) <= _RATE_FACTOR * min(known)


def true_rate(declared: Iterable[Fraction | None], times: Iterable[Fraction]) -> Fraction | None:
    """Return the first of the `declared` rates, in Hz, that is possible and agrees with the first `times`, in s.

    If none does, the rate is that of the median step between the times; None without any.
    """
    steps = [later - earlier for earlier, later in pairwise(sorted(times)) if later > earlier]
    found = 1 / median(steps) if steps else None
    for rate in declared:
        if rate and 0 < rate <= _HIGHEST_RATE_HZ and (found is None or 1 / _RATE_FACTOR < rate / found < _RATE_FACTOR):
            return rate
    return None if found is None else found.limit_denominator(1001)


class Completeness:
    """Compares what could be decoded of one stream of a file with what the file declares.

    ISO media (mp4, mov) lists every sample, also those that an edit list hides; other formats declare at most a
    duration.
    """

    def __init__(self, container: InputContainer, stream: av.VideoStream) -> None:
        self._stream = stream
        self._lists_samples = "mp4" in container.format.name
        self._declared_s = None if self._lists_samples else _declared_duration_s(container, stream)
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
    if tag := _DURATION.fullmatch(stream.metadata.get("DURATION", "").strip("\0 ")):
        hours, minutes, seconds = map(float, tag.groups())
        return 3600 * hours + 60 * minutes + seconds
    if len(container.streams) == 1 and container.duration:
        return float((container.duration + min(container.start_time or 0, 0)) / av.time_base)
    return None
