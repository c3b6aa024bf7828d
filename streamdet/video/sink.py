"""Writes a video file that common players play, even if the run that writes it fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

from streamdet.errors import InputError, OutputError, shown
from streamdet.output_file import OutputFile
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.movie import FORMATS, Movie
from streamdet.video.recovery import complete_length
from streamdet.video.stream_copy import StreamCopy


class VideoSink:
    """A video file that is written picture by picture: H.264 in .mp4, .mov, .mkv and .avi, VP9 in .webm.

    H.264 is encoded on an NVIDIA GPU where that works, otherwise on the CPU.

    `info` describes the source of the pictures, whose times and aspect ratio are kept; `audio_from`, a path or URL, is
    the video whose sound and subtitles are copied. Encoding starts with the first picture. After ``close`` the file
    plays; .mp4 and .mov also play if the process is killed. Raises InputError, before anything is written, when `path`
    cannot be written, has an unknown ending or is the source itself.

    Sound that goes on after the last picture is copied as well, until `stopped` returns True.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        info: VideoInfo,
        audio_from: str | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path, self._info, self._audio_from = Path(path), info, audio_from
        known = FORMATS.get(self._path.suffix.lower())
        if known is None:
            raise InputError(f"expected a video file ending in {', '.join(FORMATS)}, found {shown(self._path.name)}")
        if audio_from and self._path.exists() and Path(audio_from).exists() and self._path.samefile(audio_from):
            raise InputError(f"expected a place for the result, but {path} is the video that is being read")
        self._form, self._stopped = known, stopped
        self._file = OutputFile(self._path, "a video")
        self._copied: StreamCopy | None = None
        self._movie: Movie | None = None
        self._not_copied: list[str] = []
        self._closed = False

    @property
    def warnings(self) -> list[str]:
        """One sentence for each difference between the file and its source."""
        texts = self._not_copied + (self._copied.warnings if self._copied else [])
        if self._movie and self._movie.scaled:
            texts = [*texts, f"the picture size changed; in {self._path} all pictures have the size of the first"]
        if self._movie and self._movie.shortened:
            texts = [*texts, f"a pause of hours, longer than the format of {self._path} can tell, is left out of it"]
        return texts

    def write(self, image: UInt8Array, pts: int, time_base: Fraction) -> None:
        """Append `image`, uint8 (H, W, 3) RGB, shown at `pts` ticks of `time_base` s.

        Raises OutputError when it cannot be written, as on a full disk; the pictures before it still play.
        """
        if self._closed:
            raise ValueError(f"{self._path} is closed")
        try:
            if self._movie is None:
                self._movie = self._begin(image, pts, time_base)
            self._movie.write(image, pts * time_base)
        except (av.FFmpegError, OSError) as error:
            self._release()
            raise self._failure(error) from error

    def close(self) -> None:
        """Complete the file; may be called again. Raises OutputError when the end of the file cannot be written."""
        try:
            if self._movie and not self._closed:
                self._movie.finish(self._stopped)
                self._movie.close()
                self._file.check()
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        finally:
            self._release()

    def __enter__(self) -> VideoSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, image: UInt8Array, pts: int, time_base: Fraction) -> Movie:
        if self._audio_from:
            try:
                self._copied = StreamCopy(self._audio_from, self._form.container)
            except InputError as error:
                self._not_copied = [f"sound and subtitles could not be copied: {error}"]
        self._file.start()
        return Movie(self._file, self._form, (image, pts, time_base), self._info, self._copied)

    def _release(self) -> None:
        """Close the movie, what is copied and the file, without an error if the movie is incomplete."""
        if self._closed:
            return
        self._closed = True
        if self._movie:
            with suppress(av.FFmpegError, OSError):
                self._movie.close()
        if self._copied:
            self._copied.close()
        if self._file.failure:
            with suppress(OSError):
                self._file.cut(complete_length(self._path, self._form.container))
        self._file.close()

    def _failure(self, error: Exception) -> OutputError:
        cause = self._file.failure or error
        reason = getattr(cause, "strerror", None) or str(cause)
        return OutputError(f"expected to write {self._path}, but {reason[:1].lower()}{reason[1:]}")
