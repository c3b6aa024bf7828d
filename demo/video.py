"""The video tab: tracks an uploaded video, and writes the tracked video and its tracks to files."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from streamdet.errors import InputError, shown
from streamdet.page_options import PageOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.header import TracksHeader
from streamdet.video.location import VideoFile
from streamdet.video.sink import VideoSink
from streamdet.video.source import Source, open_source

# The video that is tracked if none is uploaded.
_STREET = "scene://street?seed=7&seconds=4&fps=10"
# The containers that may be uploaded, by FFmpeg's demuxers. A playlist is none of them: it names other files.
FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "yuv4mpegpipe", "ivf", "gif"),
    *("png_pipe", "jpeg_pipe", "webp_pipe"),
)

_FIRST_FRAME_S = 30.0  # within which an upload must give its first frame; until then its run cannot be cancelled

# Called after every frame with the number of frames done, and their total or None if the video does not declare it.
Progress = Callable[[int, int | None], None]


class Cancelled(Exception):  # noqa: N818 - requested by the user, not an error
    """Raised when a run is cancelled from its page."""


@dataclass(frozen=True, slots=True)
class TrackedVideo:
    """The files that a run has written, and its `summary`: frames, speed, number of tracks, warnings."""

    video: Path
    mot: Path
    jsonl: Path
    summary: str


class VideoRuns:
    """The runs of all open pages over one `pipeline`; each writes its files to a new folder inside `cache`.

    A run may take ``options.max_seconds``, and its frames have at most ``options.max_pixels``.
    """

    def __init__(self, pipeline: Pipeline, cache: Path, options: PageOptions) -> None:
        self._pipeline, self._cache, self._options = pipeline, cache, options
        self._running: dict[str, _Running] = {}

    def track(
        self, session: str, path: Path | None, classes: Sequence[str], conf: float, progress: Progress
    ) -> TrackedVideo:
        """Track the video at `path`, or a rendered street if it is None.

        - `session` identifies the page, see `cancel`.
        - `classes` are the names of the classes to detect, empty for all.
        - `conf` is the lowest score of a detection.
        - `progress` is called after every frame.

        What has been tracked when the time is over is returned. Raises InputError, StreamdetError and, after `cancel`,
        Cancelled.
        """
        with self._cancellable(session) as running, self._open(path, classes, conf) as run:
            running.begin(run)
            folder = Path(tempfile.mkdtemp(dir=self._cache))
            try:
                with _stopping(run, self._options.max_seconds) as stopped:
                    tracked = _track(run, path.stem if path else "street", folder, progress, running, stopped)
                return replace(tracked, summary=self.without_folders(tracked.summary))
            except BaseException:
                shutil.rmtree(folder)
                raise

    def _open(self, path: Path | None, classes: Sequence[str], conf: float) -> Run:
        source: str | Source = _STREET
        if path is not None:
            if not path.resolve().is_relative_to(self._cache.resolve()):
                raise InputError(f"expected an upload of this page, but {shown(path.name)} is none")
            source = open_source(
                VideoFile(path.name, path, FORMATS, _FIRST_FRAME_S), max_pixels=self._options.max_pixels
            )
        return self._pipeline.run(source, classes=classes or None, conf=conf, draw=True)

    def without_folders(self, text: str) -> str:
        """Return `text`, in which files of the cache are named without their folder, the server's business."""
        return re.sub(rf"{re.escape(str(self._cache))}[/\\\\][^/\\\\]+[/\\\\]", "", text)

    def cancel(self, session: str) -> None:
        """End the run of `session`, if there is one, without waiting."""
        if running := self._running.get(session):
            running.cancel()

    def close(self) -> None:
        """Cancel all runs."""
        for session in list(self._running):
            self.cancel(session)

    @contextmanager
    def _cancellable(self, session: str) -> Iterator[_Running]:
        running = self._running[session] = _Running()
        try:
            yield running
        finally:
            if self._running.get(session) is running:  # otherwise a new run has replaced it
                del self._running[session]


class _Running:
    """A run that can be cancelled at any time, also before its source is open."""

    def __init__(self) -> None:
        self.cancelled = False
        self._run: Run | None = None

    def begin(self, run: Run) -> None:
        """Let `cancel` cancel `run` from now on; raises Cancelled if it was called before."""
        self._run = run
        if self.cancelled:
            raise Cancelled

    def cancel(self) -> None:
        """Cancel the run."""
        self.cancelled = True
        if self._run:
            self._run.cancel()


@contextmanager
def _stopping(run: Run, max_seconds: float) -> Iterator[threading.Event]:
    """Stop `run` when the block takes longer than `max_seconds`, and set the event that is yielded."""
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        run.stop()

    timer = threading.Timer(max_seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield stopped
    finally:
        timer.cancel()


def _track(
    run: Run, name: str, folder: Path, progress: Progress, running: _Running, stopped: threading.Event
) -> TrackedVideo:
    video, mot, jsonl = (folder / f"{name}-tracked{ending}" for ending in (".mp4", ".txt", ".jsonl"))
    since, done, ids = time.perf_counter(), 0, set[int]()
    info = run.source.info
    with ExitStack() as stack:
        header = TracksHeader.from_source(run.source.id, info, run.options)
        track_sinks = [stack.enter_context(open_track_sink(tracks, header)) for tracks in (mot, jsonl)]
        sink = VideoSink(
            video,
            info=info,
            audio_from=run.source.audio_from,
            stopped=lambda: stopped.is_set() or running.cancelled,
        )
        video_sink = stack.enter_context(sink)
        for done, result in enumerate(run, start=1):
            video_sink.write(result.draw(), result.frame.pts, result.frame.time_base)
            for track_sink in track_sinks:
                track_sink.write(result)
            ids.update(result.tracks.ids.tolist())
            progress(done, info.frame_count)
        if running.cancelled:
            raise Cancelled
    elapsed_s = time.perf_counter() - since
    summary = f"{done} frames in {elapsed_s:.1f} s ({done / elapsed_s:.1f} fps), tracks: {len(ids)}"
    notes = [f"stopped after {elapsed_s:.0f} s, the longest time that this page allows"] if stopped.is_set() else []
    return TrackedVideo(video, mot, jsonl, "\n\n".join([summary, *notes, *run.warnings, *video_sink.warnings]))
