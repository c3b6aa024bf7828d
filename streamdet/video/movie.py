"""Writes one output container: encoded pictures at exact times, and copied sound and subtitles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import av

from streamdet.output_file import OutputFile
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.encoder import VP9, X264, VideoEncoder, encoders
from streamdet.video.stream_copy import StreamCopy

_ISO_FORMATS = frozenset({"mp4", "mov"})
_INT32_MAX = 2**31 - 1
_LONGEST_REORDERING_S = 10  # by which an encoder may shift the times that a container compares


@dataclass(frozen=True, slots=True)
class MovieFormat:
    """A container format and the encoder of the video codec that players expect in it, by their names in FFmpeg."""

    container: str
    codec: str


FORMATS = {
    ".mp4": MovieFormat("mp4", X264),
    ".mov": MovieFormat("mov", X264),
    ".mkv": MovieFormat("matroska", X264),
    ".avi": MovieFormat("avi", X264),
    ".webm": MovieFormat("webm", VP9),
}


class Movie:
    """Writes pictures, and the streams of `copied` unless it is None, to `file`.

    `first` is the first image, its timestamp and its time base; the image itself is not written yet. Pictures keep
    their times, in ticks of that time base; only for a live source, or a negative first time, they are moved so that
    the first picture is at 0. AVI stores no times: it counts frame periods from the first picture. `scaled` tells
    whether a picture had another size than the first, `shortened` whether a pause was longer than the format can tell
    (MP4 and MOV: 2^31 ticks, 6.6 h at 90 kHz), so that it is left out. All methods raise OSError or av.FFmpegError.
    """

    def __init__(
        self,
        file: OutputFile,
        form: MovieFormat,
        first: tuple[UInt8Array, int, Fraction],
        info: VideoInfo,
        copied: StreamCopy | None,
    ) -> None:
        image, pts, time_base = first
        self.scaled = self.shortened = False
        self._copied = copied
        counted = form.container == "avi"
        self._origin = pts * time_base if info.live or counted or pts < 0 else Fraction(0)
        period = 1 / (info.frame_rate or Fraction(30))
        self._time_base = period if counted else time_base
        self._period = max(round(period / self._time_base), 1)
        self._last, self._previous = -1, -1 - self._period
        is_iso = form.container in _ISO_FORMATS
        longest_s = _INT32_MAX / _timescale(self._time_base) - _LONGEST_REORDERING_S
        self._longest = int(longest_s / self._time_base) if is_iso else math.inf
        options = _muxer_options(form, [self._time_base, *(copied.time_bases if copied else [])])
        self._open = partial(av.open, file, "w", format=form.container, container_options=options)
        self._encoder = self._start_encoder(encoders(form.codec), image.shape, info)
        if copied:
            copied.attach(self._container, self._origin)

    def _start_encoder(self, codecs: list[str], shape: tuple[int, ...], info: VideoInfo) -> VideoEncoder:
        """Open the container with the first of `codecs` that opens: a GPU limits its number of encoding sessions."""
        self._container = self._open()
        try:
            return VideoEncoder(self._container, codecs[0], shape, self._time_base, info)
        except av.FFmpegError:
            self._container.close()
            if not codecs[1:]:
                raise
            return self._start_encoder(codecs[1:], shape, info)

    def write(self, image: UInt8Array, time: Fraction) -> None:
        """Write the picture shown at `time`, in s of the source, and what is copied up to that time."""
        self.scaled = self.scaled or not self._encoder.fits(image)
        pts = round((time - self._origin) / self._time_base)
        if self._last >= 0 and pts - self._last > self._longest:
            pts, self.shortened = self._last + self._period, True
            self._origin = time - pts * self._time_base
        # Coarser ticks may round two times to the same one, but players expect times to grow.
        pts = max(pts, self._last + 1)
        self._previous, self._last = self._last, pts
        self._container.mux(self._encoder.encode(image, pts))
        if self._copied:
            self._copied.advance(time)

    def finish(self, stopped: Callable[[], bool]) -> None:
        """Write the remaining packets of the encoder, and of what is copied until it is `stopped`."""
        self._container.mux(self._encoder.flush())
        if self._copied:
            self._copied.finish(self._origin + (2 * self._last - self._previous) * self._time_base, stopped)

    def close(self) -> None:
        """Write the index."""
        self._container.close()


def _muxer_options(form: MovieFormat, time_bases: list[Fraction]) -> dict[str, str]:
    if form.container not in _ISO_FORMATS:
        # Sound often starts before time 0, and must not shift the pictures. Matroska is written cluster by cluster.
        clusters = {} if form.container == "avi" else {"cluster_time_limit": "1000"}
        return {"avoid_negative_ts": "disabled", **clusters}
    # Fragments while recording, so that a crash or a full disk leaves a file that plays; a plain file when closed.
    # The header is delayed until the first fragment, since it holds the time of the first frame.
    options = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000", "flush_packets": "1"}
    scale = _timescale(time_bases[0])
    # The header stores the start times of all streams in one unit: the coarsest that is exact for each of them.
    common = math.lcm(scale, *(base.denominator for base in time_bases[1:]))
    return options | {
        "video_track_timescale": str(scale),
        "movie_timescale": str(common if common <= _INT32_MAX else scale),
    }


def _timescale(time_base: Fraction) -> int:
    """Return the ticks per s of an ISO track: at least 10,000, since some players round times below that."""
    scale = time_base.denominator
    while scale < 10_000:
        scale *= 2
    return scale
