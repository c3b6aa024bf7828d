"""Writes what comes out of a run to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from streamdet.errors import InputError, shown
from streamdet.files import user_path
from streamdet.options import RunOptions
from streamdet.output_file import require_distinct
from streamdet.pipeline.line import FrameSource
from streamdet.result import Result
from streamdet.sinks.formats import TRACK_SINKS, open_track_sink
from streamdet.sinks.header import TracksHeader
from streamdet.video.movie import FORMATS
from streamdet.video.sink import VideoSink


def save_results(
    results: Iterator[Result], source: FrameSource, options: RunOptions, paths: Sequence[str | Path]
) -> None:
    """Write `results`, which come of `source` and `options`, to all of `paths`; the ending says what is written there.

    Raises InputError, before any result is read, for a path that cannot be written, and OutputError as sinks do.
    """
    files = [user_path(path) for path in paths]
    require_distinct({}, {f"path {number}": [path] for number, path in enumerate(files, 1)})
    header = TracksHeader.from_source(source.id, source.info, options)
    with ExitStack() as stack:
        writers = [_writer(path, source, header, stack) for path in files]
        for result in results:
            for write in writers:
                write(result)


def _writer(path: Path, source: FrameSource, header: TracksHeader, stack: ExitStack) -> Callable[[Result], None]:
    """Return the function that writes a result to `path`, which `stack` closes."""
    ending = path.suffix.lower()
    if ending in TRACK_SINKS:
        return stack.enter_context(open_track_sink(path, header)).write
    if ending not in FORMATS:
        known = ", ".join([*FORMATS, *TRACK_SINKS])
        raise InputError(f"expected a video or track file ending in {known}, found {shown(path.name)}")
    sink = stack.enter_context(VideoSink(path, info=source.info, audio_from=source.audio_from))
    return partial(_write_picture, sink)


def _write_picture(sink: VideoSink, result: Result) -> None:
    sink.write(result.draw(), result.frame.pts, result.frame.time_base)
