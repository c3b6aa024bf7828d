"""Everything a run writes to: videos and images, track files, crops, a window."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2

from streamdet.cli.places import Places, distinct_names, reserved, result_name
from streamdet.errors import InputError, shown
from streamdet.explain.record import ExplainSink, Header
from streamdet.files import EMBEDDED_MODEL, weights_files
from streamdet.options import TrackOptions
from streamdet.pictures import PICTURE_SUFFIXES, CropSink, ImageSink
from streamdet.pipeline.line import FrameSource
from streamdet.result import Result
from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.header import TracksHeader
from streamdet.video.location import ImageFiles, files_at, locate
from streamdet.video.movie import FORMATS
from streamdet.video.segments import SegmentedSink
from streamdet.video.sink import VideoSink

_WINDOW = "streamdet: q ends"


class Outputs:
    """Opens what was asked for, so that a place that cannot be written is known before anything is decoded.

    Without any of them, the results of a file go to new files in the folder runs. The `options` of the run stand in the
    files that have a place for them; `header` is the head of the file with the reasons behind the tracks, and `images`
    are the names of the pictures of images, in the order of the source. `stopped` tells whether the files should be
    closed soon. Until `finish`, the results are marked as unfinished, see `Places.mark`.
    """

    def __init__(
        self,
        source: FrameSource,
        places: Places,
        options: TrackOptions,
        *,
        images: Sequence[str] = (),
        header: Header | None = None,
        stopped: Callable[[], bool],
    ) -> None:
        self._has_written = False
        with ExitStack() as stack:
            if options.show:
                stack.enter_context(_Window())
            self._show = options.show
            if not (places.pictures or places.tracks or places.crops or options.show or source.info.live):
                new = reserved(Path("runs"), result_name(source.id), picture_ending(images))
                places = replace(places, pictures=new.pictures, tracks=new.tracks)
                stack.callback(self._release, *places.pictures, *places.tracks)
            self._places = places
            self._pictures: list[VideoSink | SegmentedSink | ImageSink] = []
            for path in places.pictures:
                self._pictures.append(_picture_sink(path, source, images, options, stopped))
                stack.enter_context(self._pictures[-1])
            self._explain = (
                stack.enter_context(ExplainSink(places.explain, header)) if places.explain and header else None
            )
            head = TracksHeader.from_source(source.id, source.info, options)
            self._tracks = [
                stack.enter_context(open_track_sink(path, head, mot_classes=options.mot_classes))
                for path in places.tracks
            ]
            self._crops = stack.enter_context(CropSink(places.crops)) if places.crops else None
            self._stack = stack.pop_all()
        places.mark()

    @property
    def paths(self) -> list[Path]:
        """The files that are written."""
        return self._places.all

    @property
    def written(self) -> list[str]:
        """What has been written so far, as a person is told: files, folders, and the segments of a recording."""
        segments = [each.written for each in self._pictures if isinstance(each, SegmentedSink) and each.written]
        return [*segments, *(str(path) for path in self.paths if path.exists())]

    @property
    def warnings(self) -> list[str]:
        """What the user should know about the written files."""
        return [message for pictures in self._pictures for message in pictures.warnings]

    def write(self, result: Result) -> bool:
        """Write one result; returns whether the user wants more."""
        self._has_written = True
        for tracks in self._tracks:
            tracks.write(result)
        if self._explain and result.decisions:
            self._explain.write(result)
        if self._crops:
            self._crops.write(result)
        for pictures in self._pictures:
            pictures.write(result.draw(), result.frame.pts, result.frame.time_base)
        if not self._show:
            return True
        cv2.imshow(_WINDOW, result.draw()[:, :, ::-1])
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)

    def _release(self, *reserved: Path) -> None:
        """Delete the files that were made for results that never came."""
        if not self._has_written:
            for path in reserved:
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        if not any(path.exists() for path in self.paths):
            self._places.unmark()

    def finish(self) -> None:
        """Take the mark off the results, which are closed: they are those of the whole source."""
        self._places.unmark()


def _picture_sink(
    path: Path, source: FrameSource, images: Sequence[str], options: TrackOptions, stopped: Callable[[], bool]
) -> VideoSink | SegmentedSink | ImageSink:
    """Return what writes the pictures of `source` to a video or, if it is `images`, to an image or a folder of them.

    Raises InputError.
    """
    suffix = path.suffix.lower()
    if options.segment_s is not None:
        if not source.info.live:
            raise InputError(f"expected a camera for --segment, found {source.id}")
        return SegmentedSink(path, info=source.info, segment_s=options.segment_s, keep=options.keep)
    if not images or suffix in FORMATS:
        return VideoSink(path, info=source.info, audio_from=source.audio_from, stopped=stopped)
    if path.is_dir() or (suffix not in PICTURE_SUFFIXES and not (suffix and len(images) == 1)):
        return ImageSink(path, images)
    if suffix not in PICTURE_SUFFIXES or len(images) > 1:
        expected = "an image or a video" if len(images) == 1 else f"a folder or a video for {len(images)} images"
        raise InputError(f"expected {expected}, found {shown(str(path))}")
    return ImageSink(path.parent, [path.name])


def image_names(source: str) -> list[str]:
    """Return what to call the pictures of the images that `source` names, by their place; [] for another source.

    They are called as the images; formats that are not written become PNG.
    """
    try:
        location = locate(source)
    except InputError:  # raised again when the source is opened
        return []
    paths = location.paths if isinstance(location, ImageFiles) else ()
    is_written = (path.suffix.lower() in PICTURE_SUFFIXES for path in paths)
    return distinct_names(
        path.name if written else f"{path.stem}.png" for path, written in zip(paths, is_written, strict=True)
    )


def picture_ending(images: Sequence[str]) -> str:
    """Return the ending of the pictures of a source: none, for a folder, if it is several `images`."""
    return ".mp4" if not images else Path(images[0]).suffix if len(images) == 1 else ""


def files_read(sources: Sequence[str], options: TrackOptions) -> dict[str, list[Path]]:
    """Return the files that a run of `sources` reads, by what names them on the command line."""
    model, truth = options.model or EMBEDDED_MODEL, options.truth
    return {
        "SOURCE": [path for source in sources for path in files_at(source)],
        "--model": weights_files(model),
        "--tracker": [Path(options.tracker)],
        "--reid": [Path(options.reid)] if options.reid else [],
        "--truth": [truth / "gt" / "gt.txt", truth / "seqinfo.ini"] if truth else [],
    }


class _Window:
    """A window of the desktop."""

    def __enter__(self) -> None:
        # Without a display OpenCV's Qt ends the whole process instead of raising an error.
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise InputError("--show needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set")
        cv2.namedWindow(_WINDOW, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def __exit__(self, *_: object) -> None:
        cv2.destroyWindow(_WINDOW)
