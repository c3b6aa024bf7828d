"""Writes one output container: encoded pictures at exact times, and copied sound."""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

from streamdet.errors import InputError
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.audio import AudioCopy
from streamdet.video.encoder import VP9, X264, VideoEncoder, encoders

_ISO_FORMATS = frozenset({"mp4", "mov"})
_INT32_MAX = 2**31 - 1


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


class OutputFile:
    """A seekable file for the muxer, which writes nothing more after its first failure.

    A muxer whose write fails still writes its trailer, and rewrites the header; on a full disk that would make the file
    unreadable. So all later writes raise the first OSError again, which is kept in `failure`.

    Opening leaves an existing file unchanged until `start` empties it; closing removes a new file that was not started.
    Raises InputError when `path` cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.failure: OSError | None = None
        self._path, self._started = path, False
        self._created = not path.exists()
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise InputError(
                f"expected a place to write a video, but {path} is none: {_reason(error, path)}"
            ) from error

    def start(self) -> None:
        """Empty the file."""
        self._started = True
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.truncate(self._descriptor, 0)

    def write(self, data: bytes) -> int:
        """Write all of `data`; raises OSError."""
        if self.failure is not None:
            raise self.failure
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.failure = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` and return the new position, as in ``io.IOBase``."""
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        """Return the current position in bytes."""
        return self.seek(0, os.SEEK_CUR)

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        if self._created and not self._started:
            self._path.unlink(missing_ok=True)


def _reason(error: OSError, path: Path) -> str:
    """Return why `path` cannot be opened, as the end of a sentence."""
    if path.is_dir():
        return "it is a folder"
    if isinstance(error, FileNotFoundError):
        return f"the folder {path.parent} does not exist"
    return (error.strerror or str(error)).lower()


class Movie:
    """Writes pictures, and the sound of `audio` unless it is None, to `file`.

    `first` is the first image, its timestamp and its time base; the image itself is not written yet. Pictures keep
    their times, in ticks of that time base; only for a live source, or a negative first time, they are moved so that
    the first picture is at 0. AVI stores no times: it counts frame periods from the first picture. `scaled` tells
    whether a picture had another size than the first. All methods raise OSError or av.FFmpegError.
    """

    def __init__(
        self,
        file: OutputFile,
        form: MovieFormat,
        first: tuple[UInt8Array, int, Fraction],
        info: VideoInfo,
        audio: AudioCopy | None,
    ) -> None:
        image, pts, time_base = first
        self.scaled = False
        self._audio = audio
        counted = form.container == "avi"
        self._origin = pts * time_base if info.live or counted or pts < 0 else Fraction(0)
        period = 1 / (info.frame_rate or Fraction(30))
        self._time_base = period if counted else time_base
        self._last, self._previous = -1, -1 - max(round(period / self._time_base), 1)
        options = _muxer_options(form, [self._time_base, *(audio.time_bases if audio else [])])
        self._open = partial(av.open, file, "w", format=form.container, container_options=options)
        self._encoder = self._start_encoder(encoders(form.codec), image.shape, info)
        if audio:
            audio.attach(self._container, self._origin)

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
        """Write the picture shown at `time`, in s of the source, and the sound up to that time."""
        self.scaled = self.scaled or not self._encoder.fits(image)
        # Coarser ticks may round two times to the same one, but players expect times to grow.
        pts = max(round((time - self._origin) / self._time_base), self._last + 1)
        self._previous, self._last = self._last, pts
        self._container.mux(self._encoder.encode(image, pts))
        if self._audio:
            self._audio.advance(time)

    def finish(self) -> None:
        """Write the remaining packets of the encoder and of the sound."""
        self._container.mux(self._encoder.flush())
        if self._audio:
            self._audio.finish(self._origin + (2 * self._last - self._previous) * self._time_base)

    def close(self) -> None:
        """Write the index."""
        self._container.close()


def _muxer_options(form: MovieFormat, time_bases: list[Fraction]) -> dict[str, str]:
    if form.container not in _ISO_FORMATS:
        # Sound often starts before time 0, and must not shift the pictures.
        return {"avoid_negative_ts": "disabled"}
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
