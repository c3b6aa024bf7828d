"""What a run reads, and how it is opened and joined to the stages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.fields import option_fields
from streamdet.options import RunOptions, SourceOptions
from streamdet.pipeline.camera import Camera
from streamdet.pipeline.line import PACED_RESULTS, FrameSource, Line
from streamdet.pipeline.refine import RefinedLine
from streamdet.result import Result
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.threads import Channel
from streamdet.video.location import Given, GivenImages, Pipe, Stream, Webcam, locate, source_name
from streamdet.video.source import open_source

SourceLike = Given | FrameSource


def connect(
    source: SourceLike,
    options: RunOptions,
    detector: Detector,
    scheduler: Scheduler,
    results: Channel[Result],
    *,
    wait_s: float,
) -> Line | RefinedLine:
    """Open `source` and connect it to the stages; raises InputError."""
    reopen = partial(_open, source, options)
    opened = reopen()
    if options.refine and not opened.info.live and _reads_once(source):
        raise InputError(f"expected a file to refine, which can be read again, found {opened.id}")
    if opened.info.live:
        # With prediction, a detection and the frames that waited behind it come at once.
        results.depth = PACED_RESULTS if options.every == "auto" or options.max_latency_s else 1
    try:
        if not options.refine:
            return Line(opened, options, detector, scheduler, results, wait_s=wait_s)
        return RefinedLine(opened, reopen, options, detector, scheduler, results, wait_s=wait_s)
    except BaseException:
        opened.close()
        raise


def name_before_opening(source: SourceLike) -> str:
    """Return the name of `source`, which is not opened for it, without passwords."""
    return source.id if isinstance(source, FrameSource) else source_name(source)


def names_camera(source: SourceLike) -> bool:
    """Return whether `source`, not opened yet, is or is named as a live one."""
    if isinstance(source, FrameSource):
        return source.info.live
    try:
        return isinstance(locate(source), Webcam | Stream)
    except InputError:  # raised again when the source is opened
        return False


def _open(source: SourceLike, options: RunOptions) -> FrameSource:
    if isinstance(source, FrameSource):
        return source
    keywords = {name: getattr(options, name) for name in option_fields(SourceOptions)}
    opened = open_source(source, **keywords)
    if not options.reconnect_s or not opened.info.live or not names_camera(source):
        return opened
    connect_again = partial(open_source, source, **keywords | {"max_frames": None})
    return Camera(opened, connect_again, patience_s=options.reconnect_s, max_frames=options.max_frames)


def _reads_once(source: SourceLike) -> bool:
    """Return whether `source` can be read only once: an object of the user's, an iterator or a pipe."""
    if isinstance(source, FrameSource):
        return True
    location = locate(source)
    return isinstance(location, Pipe) or (isinstance(location, GivenImages) and isinstance(location.images, Iterator))
