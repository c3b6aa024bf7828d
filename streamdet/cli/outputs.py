"""Everything a run writes to: a video, a track file, a window."""

from __future__ import annotations

import itertools
import os
import re
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import cv2

from streamdet.errors import InputError
from streamdet.explain.record import ExplainSink, Header
from streamdet.options import TrackOptions
from streamdet.pipeline.line import FrameSource
from streamdet.result import Result
from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.header import TracksHeader
from streamdet.video.sink import VideoSink

_WINDOW = "streamdet: q ends"
_NAME_LENGTH = 200  # of results, which leaves room for a number and an ending in the 255 bytes of a file's name


class Outputs:
    """Opens what was asked for, so that a place that cannot be written is known before anything is decoded.

    Without any of them, the results of a file go to new files in the folder runs. `explain` is where the reasons behind
    the tracks go, with the head of that file. The `options` of the run stand in the files that have a place for them.
    """

    def __init__(
        self,
        source: FrameSource,
        video: Path | None,
        tracks: Path | None,
        options: TrackOptions,
        *,
        show: bool,
        explain: tuple[Path, Header] | None = None,
    ) -> None:
        self._has_written = False
        with ExitStack() as stack:
            if show:
                stack.enter_context(_Window())
            self._show = show
            if video is None and tracks is None and not show and not source.info.live:
                video, tracks = _reserved(Path("runs"), result_name(source.id))
                stack.callback(self._release, video, tracks)
            self.paths = [path for path in (video, tracks, explain and explain[0]) if path]
            self._video = (
                stack.enter_context(VideoSink(video, info=source.info, audio_from=source.audio_from)) if video else None
            )
            self._explain = stack.enter_context(ExplainSink(*explain)) if explain else None
            header = TracksHeader.from_source(source.id, source.info, options)
            self._tracks = (
                stack.enter_context(open_track_sink(tracks, header, mot_classes=options.mot_classes))
                if tracks
                else None
            )
            self._stack = stack.pop_all()

    @property
    def warnings(self) -> list[str]:
        """What the user should know about the written files."""
        return self._video.warnings if self._video else []

    def write(self, result: Result) -> bool:
        """Write one result; returns whether the user wants more."""
        self._has_written = True
        if self._tracks:
            self._tracks.write(result)
        if self._explain and result.decisions:
            self._explain.write(result)
        if self._video:
            self._video.write(result.draw(), result.frame.pts, result.frame.time_base)
        if not self._show:
            return True
        cv2.imshow(_WINDOW, result.draw()[:, :, ::-1])
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)

    def _release(self, *reserved: Path) -> None:
        """Delete the files that were made for results that never came."""
        if not self._has_written:
            for path in reserved:
                path.unlink(missing_ok=True)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _reserved(folder: Path, name: str) -> tuple[Path, Path]:
    """Create a video and a track file, both empty, called `name` or the first free of name-2, name-3 and so on."""
    try:
        folder.mkdir(exist_ok=True)
        for number in itertools.count(1):
            stem = folder / (name if number == 1 else f"{name}-{number}")
            video, tracks = stem.with_name(f"{stem.name}.mp4"), stem.with_name(f"{stem.name}.txt")
            if video.exists() or tracks.exists():
                continue
            with suppress(FileExistsError):  # another run was faster
                video.touch(exist_ok=False)
                tracks.touch()
                return video, tracks
    except OSError as error:
        raise InputError(
            f"expected to write to the folder {folder}, but {error.strerror}; name a place with --out"
        ) from None
    raise AssertionError("numbers do not end")


def result_name(source_id: str) -> str:
    """Return what to call the results of a file, folder, glob or URL: its last part, without what names no file."""
    return re.sub(r"[^\w.-]+", "_", Path(source_id).stem).strip("_")[:_NAME_LENGTH] or "result"


class _Window:
    """A window of the desktop."""

    def __enter__(self) -> None:
        # Without a display OpenCV's Qt ends the whole process instead of raising an error.
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise InputError("--show needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set")
        cv2.namedWindow(_WINDOW, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def __exit__(self, *_: object) -> None:
        cv2.destroyWindow(_WINDOW)
