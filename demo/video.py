"""The video tab's work: an uploaded video in, the tracked video and its tracks out."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamdet.channel import Cancelled
from streamdet.detect.detector import Detector
from streamdet.options import TrackerOptions
from streamdet.pipeline import follow
from streamdet.sinks import open_track_sink
from streamdet.stages import Stages
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

# What is tracked where nobody brings a video.
_STREET = "scene://street?seed=7&seconds=4&fps=10"

# Called after every frame with the number of frames done, and their total where the video declares it.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class TrackedVideo:
    """The files one run has written, and a sentence or more about it."""

    video: Path
    mot: Path
    jsonl: Path
    summary: str


class VideoRuns:
    """Tracks videos with one model, writes into folders of its own inside `cache`, and can cancel what it runs."""

    def __init__(self, model: Path, cache: Path) -> None:
        self._model, self._cache = model, cache
        self._running: dict[str, threading.Event] = {}

    def track(
        self, session: str, path: Path | None, classes: Sequence[str], conf: float, progress: Progress
    ) -> TrackedVideo:
        """Track the video at `path`, None for a rendered street.

        Raises InputError, StreamdetError and, after `cancel`, Cancelled.
        """
        with self._cancellable(session) as cancelled:
            detector = Detector(self._model, conf=conf, classes=classes or None)
            folder = Path(tempfile.mkdtemp(dir=self._cache))
            try:
                return _track(path, folder, detector, progress, cancelled)
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
            if self._running[session] is cancelled:  # and not yet a new run
                del self._running[session]


def _track(
    path: Path | None, folder: Path, detector: Detector, progress: Progress, cancelled: threading.Event
) -> TrackedVideo:
    name = path.stem if path else "street"
    video, mot, jsonl = (folder / f"{name}-tracked{ending}" for ending in (".mp4", ".txt", ".jsonl"))
    since, done, ids = time.perf_counter(), 0, set[int]()
    with ExitStack() as stack:
        source = stack.enter_context(open_source(path or _STREET))
        track_sinks = [stack.enter_context(open_track_sink(tracks)) for tracks in (mot, jsonl)]
        video_sink = stack.enter_context(VideoSink(video, info=source.info, audio_from=source.audio_from))
        stages = stack.enter_context(Stages())
        results = follow(source, detector, load_tracker(TrackerOptions.tracker, source.info.frame_rate), stages)
        drawn = stages.spawn(((result, result.draw()) for result in results), name="draw", depth=2)
        for done, (result, image) in enumerate(drawn, start=1):
            if cancelled.is_set():
                raise Cancelled
            video_sink.write(image, result.frame.pts, result.frame.time_base)
            for sink in track_sinks:
                sink.write(result)
            ids.update(result.tracks.ids.tolist())
            progress(done, source.info.frame_count)
    elapsed_s = time.perf_counter() - since
    summary = f"{done} frames in {elapsed_s:.1f} s ({done / elapsed_s:.1f} fps), tracks: {len(ids)}"
    return TrackedVideo(video, mot, jsonl, "\n\n".join([summary, *source.warnings, *video_sink.warnings]))
