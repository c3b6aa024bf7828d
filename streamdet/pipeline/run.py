"""A run: one source on its way through a model and a tracker, and an iterator of the results.

A run owns the thread that decodes, the `Line` of stages, and the channel from which its reader takes results.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from streamdet.detect.detector import Detector
from streamdet.options import RunOptions
from streamdet.pipeline.line import FrameSource, Line, damaged_in
from streamdet.pipeline.opening import SourceLike, connect, name_before_opening, names_camera
from streamdet.pipeline.refine import RefinedLine
from streamdet.pipeline.saving import save_results
from streamdet.result import Result, tracks_table
from streamdet.scheduler.latency import ContractState
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.shared import OwnProcess
from streamdet.scheduler.threads import Channel, StageTime, join_all
from streamdet.sinks.formats import require_task
from streamdet.tracking.frame_tracker import FrameTracker
from streamdet.tracking.state import RunState

CLOSE_TIMEOUT_S = 5.0  # how long threads may stay in native calls before they are left behind
KEPT_AGES = 1024  # number of results whose ages are kept


@dataclass(frozen=True, slots=True)
class RunStats:
    """What a run has done so far.

    - `stages`: how many frames each stage has processed, and for how long it was busy.
    - `results`: the number of results that were read.
    - `detected`: the number of frames that were detected in.
    - `dropped`: the number of frames of a live source whose results were not read because newer ones replaced them.
    - `damaged`: the number of packets and frames that could not be decoded or are damaged, which a live source leaves
      out; 0 where the source does not count them.
    - `ages_s`: the ages of the last results in s, oldest first: from the arrival of the frame until it was read.
    - `abandoned`: the number of threads that were still in a native call when the run was closed.
    - `contract`: how `max_latency_s` is kept at this moment, None without it.
    """

    stages: tuple[StageTime, ...] = ()
    results: int = 0
    detected: int = 0
    dropped: int = 0
    damaged: int = 0
    ages_s: tuple[float, ...] = ()
    abandoned: int = 0
    contract: ContractState | None = None

    def age_s(self, percentile: float) -> float:
        """Return a percentile (0 to 100) of the ages in s, NaN before the first result."""
        return float(np.percentile(self.ages_s, percentile)) if self.ages_s else float("nan")


class Run:
    """An iterator of `Result` over one source, and a context manager; made by `Pipeline.run`.

    A run begins with the first read or with `start`, can be used in any thread, prints nothing and changes no signal
    handlers. A file gives all its results in order, and waits for its reader. A live source does not wait: the newest
    result is kept, and older ones that were not read are dropped and counted. Iterating raises an error after the
    results ahead of it; it stays in `error`.
    """

    def __init__(
        self,
        source: SourceLike,
        options: RunOptions,
        detector: Detector,
        scheduler: Scheduler,
        *,
        wait_s: float = 0.0,
        changed: threading.Condition | None = None,
        owner: object = None,
    ) -> None:
        self.options = options
        self.error: BaseException | None = None
        self._source_like, self._detector = source, detector
        self._process = OwnProcess()
        self._owner = owner  # keeps the pipeline alive as long as its runs
        self._connect = partial(connect, source, options, detector, scheduler, wait_s=wait_s)
        self._results: Channel[Result] = Channel(left=self._release, changed=changed)
        self._line: Line | RefinedLine | None = None
        self._thread = threading.Thread(target=self._work, name="decode", daemon=True)
        self._starting, self._opening = threading.Lock(), threading.Lock()
        self._names_camera: bool | None = None
        self._stopped = self._cancelled = self._closed = False
        self._read_count, self._abandoned = 0, 0
        self._ages_s: deque[float] = deque(maxlen=KEPT_AGES)

    @property
    def source_id(self) -> str:
        """The name of the source, without passwords."""
        if self._line:
            return self._line.source.id
        return name_before_opening(self._source_like)

    @property
    def source(self) -> FrameSource:
        """The source, opened if it was not; raises InputError."""
        return self.open().source

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem with the source so far, and each setting of the tracker that is left out."""
        return [*self._line.tracker.config.notes, *self._line.source.warnings] if self._line else []

    @property
    def tracker(self) -> FrameTracker:
        """The tracker of the run; opens the source if it was not open. Raises InputError."""
        return self.open().tracker

    @property
    def stats(self) -> RunStats:
        """What the run has done up to now; may be read at any time, from any thread."""
        line = self._line
        if line is None:
            return RunStats(abandoned=self._abandoned)
        return RunStats(
            stages=tuple(replace(each) for each in line.times),
            results=self._read_count,
            detected=line.detected,
            dropped=line.dropped + self._results.dropped,
            damaged=damaged_in(line.source),
            ages_s=tuple(self._ages_s),
            abandoned=self._abandoned,
            contract=line.contract,
        )

    @property
    def live(self) -> bool:
        """Whether the source is live, and does not wait for its reader; by its name before it is open."""
        if self._line:
            return self._line.source.info.live
        if self._names_camera is None:
            self._names_camera = names_camera(self._source_like)
        return self._names_camera

    @property
    def finished(self) -> bool:
        """Whether all results have been read, and no error is left to be raised."""
        return self._results.finished

    @property
    def idle(self) -> bool:
        """Whether the thread of the run has ended, or can no longer begin because the run was closed before."""
        return not self._thread.is_alive() if self._thread.ident is not None else self._closed

    def state(self) -> RunState:
        """Return the state after the frame that was tracked last, whose result may not have been read yet.

        A later run can go on from such a state: see the option `state`. Opens the source if it was not open.
        """
        return self.tracker.state(self._detector.class_names)

    def open(self) -> Line | RefinedLine:
        """Open the source and connect the stages to it, unless that has been done; raises InputError."""
        with self._opening:
            if self._line is None:
                self._line = self._connect(self._results)
                if self._cancelled:
                    self._line.cancel()
                elif self._stopped:
                    self._line.stop()
            return self._line

    def start(self) -> None:
        """Begin, unless the run has begun: decode, detect and track ahead of the reader."""
        self._process.require()
        with self._starting:
            has_ended = self._cancelled or (self._stopped and self._line is None)
            if self._thread.ident is None and not has_ended:
                self._thread.start()

    def ready(self) -> bool:
        """Return whether the next read would not wait."""
        return self._results.ready()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        self.start()
        try:
            result = next(self._results)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            self.cancel()
            raise
        self._read_count += 1
        self._ages_s.append(time.monotonic() - result.frame.received_at)
        return result

    def save(self, *paths: str | Path) -> None:
        """Read the run to its end, and write its results: a video with the tracks drawn, or tracks, by each ending.

        Existing files are replaced. What has been read before is not written; ``save("a.mp4", "a.csv")`` writes both
        files in one reading. Raises InputError, before the run begins, for a file that cannot be written, OutputError
        when the disk is full, and as iterating does.
        """
        require_task(paths, self._detector.session.card.task)
        save_results(self, self.source, self.options, paths)

    def to_dataframe(self) -> Any:
        """Read the run to its end, and return the tracks of all results as one data frame, see `tracks_table`."""
        return tracks_table(self)

    def __repr__(self) -> str:
        state = "finished" if self.finished else f"{self._read_count} result{'s' * (self._read_count != 1)} read"
        return f"Run({self.source_id!r}: {state})"

    def stop(self) -> None:
        """Decode no more; frames that have been decoded still become results. Does not wait."""
        self._stopped = True
        if line := self._line:
            line.stop()
        else:
            self._results.end()

    def cancel(self) -> None:
        """Decode no more, and discard all frames and results; iterating ends. Does not wait."""
        self._cancelled = True
        self._results.cancel()
        if line := self._line:
            line.cancel()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Cancel, and wait for the threads of the run.

        A thread in a native call that does not return within `timeout_s` is left behind and counted; it releases its
        resources when the call returns.
        """
        if not self._process:
            return
        self.cancel()
        deadline_s = time.monotonic() + (0.0 if self._abandoned else timeout_s)
        with self._starting:
            self._closed, has_begun = True, self._thread.ident is not None
        line = self._line
        if line and not has_begun:
            line.source.close()
        self._abandoned = join_all([self._thread], deadline_s) + (line.join(deadline_s) if line else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        cv2.setNumThreads(1)  # the stages keep the cores busy, and OpenCV's own threads would only compete
        try:
            line = self.open()
        except BaseException as error:  # of any kind: it is raised to the reader
            self._results.end(error)
        else:
            line.work()

    def _release(self) -> None:
        if line := self._line:
            line.release()
