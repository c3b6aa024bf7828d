"""The video tab: tracks an uploaded video, and writes the tracked video and its tracks to files."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.sinks import open_track_sink
from streamdet.video.sink import VideoSink

# The video that is tracked if none is uploaded.
_STREET = "scene://street?seed=7&seconds=4&fps=10"

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
    """The runs of all open pages over one `pipeline`; each writes its files to a new folder inside `cache`."""

    def __init__(self, pipeline: Pipeline, cache: Path) -> None:
        self._pipeline, self._cache = pipeline, cache
        self._running: dict[str, threading.Event] = {}

    def track(
        self, session: str, path: Path | None, classes: Sequence[str], conf: float, progress: Progress
    ) -> TrackedVideo:
        """Track the video at `path`, or a rendered street if it is None.

        - `session` identifies the page, see `cancel`.
        - `classes` are the names of the classes to detect, empty for all.
        - `conf` is the lowest score of a detection.
        - `progress` is called after every frame.

        Raises InputError, StreamdetError and, after `cancel`, Cancelled.
        """
        with (
            self._cancellable(session) as cancelled,
            self._pipeline.run(path or _STREET, classes=classes or None, conf=conf, draw=True) as run,
        ):
            folder = Path(tempfile.mkdtemp(dir=self._cache))
            try:
                return _track(run, path.stem if path else "street", folder, progress, cancelled)
            except BaseException:
                shutil.rmtree(folder)
                raise

    def cancel(self, session: str) -> None:
        """End the run of `session`, if there is one, at its next frame."""
        if cancelled := self._running.get(session):
            cancelled.set()

    def close(self) -> None:
        """Cancel all runs."""
        for session in list(self._running):
            self.cancel(session)

    @contextmanager
    def _cancellable(self, session: str) -> Iterator[threading.Event]:
        cancelled = self._running[session] = threading.Event()
        try:
            yield cancelled
        finally:
            if self._running.get(session) is cancelled:  # otherwise a new run has replaced it
                del self._running[session]


def _track(run: Run, name: str, folder: Path, progress: Progress, cancelled: threading.Event) -> TrackedVideo:
    video, mot, jsonl = (folder / f"{name}-tracked{ending}" for ending in (".mp4", ".txt", ".jsonl"))
    since, done, ids = time.perf_counter(), 0, set[int]()
    info = run.source.info
    with ExitStack() as stack:
        track_sinks = [stack.enter_context(open_track_sink(tracks)) for tracks in (mot, jsonl)]
        video_sink = stack.enter_context(VideoSink(video, info=info, audio_from=run.source.audio_from))
        for done, result in enumerate(run, start=1):
            if cancelled.is_set():
                raise Cancelled
            video_sink.write(result.draw(), result.frame.pts, result.frame.time_base)
            for sink in track_sinks:
                sink.write(result)
            ids.update(result.tracks.ids.tolist())
            progress(done, info.frame_count)
    elapsed_s = time.perf_counter() - since
    summary = f"{done} frames in {elapsed_s:.1f} s ({done / elapsed_s:.1f} fps), tracks: {len(ids)}"
    return TrackedVideo(video, mot, jsonl, "\n\n".join([summary, *run.source.warnings, *video_sink.warnings]))
