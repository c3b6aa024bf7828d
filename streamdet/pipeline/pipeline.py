"""The pipeline: a model that is loaded once, and the runs that share it."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from streamdet.detect.detector import Detector
from streamdet.fields import options_from_keywords, takes
from streamdet.files import EMBEDDED_MODEL
from streamdet.inference.load import load_session
from streamdet.inference.session import Session
from streamdet.options import LoopOptions, ModelOptions, RunOptions, TrackKeywords
from streamdet.pipeline.loop import Loop
from streamdet.pipeline.opening import SourceLike
from streamdet.pipeline.run import CLOSE_TIMEOUT_S, Run
from streamdet.pipeline.runs import Runs
from streamdet.result import Result
from streamdet.scheduler import shared
from streamdet.scheduler.scheduler import Scheduler
from streamdet.video.decoder import claim_context

OWN_TIMEOUT_S = 0.2  # what the threads of the scheduler get at least, to end
EXIT_TIMEOUT_S = 0.5  # what threads get at the exit of the process, to leave native libraries


class Pipeline:
    """Weights, device and backend, loaded once; a context manager.

    ```python
    from streamdet import Pipeline

    with Pipeline(model="yolov8n.pt") as pipeline:
        with pipeline.run("street.mp4", classes=["person"]) as run:
            for result in run:
                print(result.frame.time, result.tracks.ids)
    ```

    Runs share slots and batches of the device, at most `batch` images at a time, with thresholds and classes of their
    own. Raises InputError for a model that cannot be used.
    """

    @takes(ModelOptions)
    def __init__(self, options: ModelOptions) -> None:
        self._begin(_session(options), options.batch, options.wait_s)

    @classmethod
    def from_options(cls, options: ModelOptions) -> Self:
        """Return a pipeline with the model and the batching of `options`."""
        pipeline = cls.__new__(cls)
        pipeline._begin(_session(options), options.batch, options.wait_s)
        return pipeline

    @classmethod
    def from_session(
        cls, session: Session, *, batch: int = 1, wait_s: float = 0.0, scheduler: Scheduler | None = None
    ) -> Self:
        """Return a pipeline over an open `session`; a `scheduler` replaces the shared one of the device."""
        pipeline = cls.__new__(cls)
        pipeline._begin(session, batch, wait_s, scheduler)
        return pipeline

    def _begin(self, session: Session, batch: int, wait_s: float, scheduler: Scheduler | None = None) -> None:
        self.session, self.batch = session, batch
        self._wait_s = wait_s
        self._shares, self._process = scheduler is None, shared.OwnProcess()
        self._scheduler = scheduler or shared.acquire(session.device)
        self._runs: list[Run] = []
        self._lock = threading.Lock()
        self._closed, self._left_behind = False, 0
        _open.add(self)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id."""
        return self.session.card.class_names

    @takes(RunOptions)
    def run(self, source: SourceLike, options: RunOptions) -> Run:
        """Open `source` and return the run over it, which begins with its first read.

        `source` is a file, a folder or glob of images, a webcam, a stream, or an object of your own that yields frames
        (see `streamdet.pipeline.line.FrameSource`). Raises InputError for a source or an option that cannot be used.
        """
        return self.run_with(source, options)

    def run_with(self, source: SourceLike, options: RunOptions) -> Run:
        """Return the run over `source`, as `run` does, with the options as one object."""
        run = self._new_run(source, options)
        try:
            run.open()
        except BaseException:
            run.close()
            raise
        return run

    @takes(LoopOptions)
    def loop(self, options: LoopOptions) -> Loop:
        """Return a run whose images come one by one from a loop of your own: ``loop.track(image, time)``.

        What it returns is what a run over these images gives. Raises InputError for an option that cannot be used.
        """
        return Loop(options, self.run_with)

    def runs(self, *sources: SourceLike, at_once: int | None = None, **keywords: Any) -> Runs:
        """Return the runs over several `sources`, to be read as one; see `Runs`.

        `at_once` files are read at a time, by default as many as a batch holds, but at least two. The other keywords
        are those of `run`, for all sources. Raises InputError for keywords that cannot be used.
        """
        return self.runs_with(sources, options_from_keywords(RunOptions, keywords), at_once)

    def runs_with(self, sources: Iterable[SourceLike], options: RunOptions, at_once: int | None = None) -> Runs:
        """Return the runs over `sources`, as `runs` does, with the options as one object."""
        return Runs(sources, self._new_run, options, at_once=at_once or max(2, self.batch))

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Cancel all runs and free the model; may be called again.

        Threads that do not return from a native call within `timeout_s` are left behind and counted. Slots that are in
        flight then, and the model with them, are freed when the device is done.
        """
        if not self._process:
            return
        with self._lock:
            is_first, self._closed = not self._closed, True
        if not is_first:
            return
        deadline_s = time.monotonic() + timeout_s
        for run in self._runs:
            run.cancel()
        for run in self._runs:
            run.close(max(deadline_s - time.monotonic(), 0.0))
        self._scheduler.release(self.session, self.session.close)
        # The scheduler's threads need a moment to end even where the runs have used up the time.
        deadline_s = max(deadline_s, time.monotonic() + OWN_TIMEOUT_S)
        if self._shares:
            self._left_behind += shared.release(self.session.device, deadline_s)
        else:
            self._left_behind += self._scheduler.close(deadline_s)

    @property
    def abandoned(self) -> int:
        """The number of threads that were still in a native call when their run was closed."""
        return self._left_behind + sum(run.stats.abandoned for run in self._runs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new_run(self, source: SourceLike, options: RunOptions, changed: threading.Condition | None = None) -> Run:
        self._process.require()
        detector = Detector.from_session(self.session, options, batch=self.batch)
        run = Run(source, options, detector, self._scheduler, wait_s=self._wait_s, changed=changed, owner=self)
        with self._lock:
            if self._closed:
                raise ValueError("the pipeline is closed")
            ended = [each for each in self._runs if each.idle]
            self._left_behind += sum(each.stats.abandoned for each in ended)
            self._runs = [each for each in self._runs if each not in ended] + [run]
        return run


@takes(TrackKeywords)
def track(source: SourceLike, options: TrackKeywords) -> Iterator[Result]:
    """Detect and track in a file, a folder or glob of images, a webcam or a stream; yield a `Result` per frame.

    This is a `Pipeline` with one run: closing the iterator ends all threads. Raises InputError for a source, a model or
    an option that cannot be used, StreamdetError when something fails while running.
    """
    with Pipeline.from_options(options) as pipeline, pipeline.run_with(source, options) as run:
        yield from run


def _session(options: ModelOptions) -> Session:
    if options.device != "cpu":
        claim_context()  # before torch uses the GPU
    model = Path(options.model or EMBEDDED_MODEL)
    return load_session(
        model,
        device=options.device,
        backend=options.backend,
        precision=options.precision,
        arch=options.arch,
        labels=options.labels,
    )


# Threads are daemons, so that a pipeline that was not closed does not keep the process alive. Closing it at exit gets
# its threads out of native libraries before these are torn down.
_open: weakref.WeakSet[Pipeline] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for pipeline in list(_open):
        pipeline.close(EXIT_TIMEOUT_S)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)
