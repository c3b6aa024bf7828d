"""Cameras that are watched in this process: a thread for each, which reads its run for as long as the server lives."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

import cv2

from streamdet.errors import OutputError, SourceSilent, StreamdetError
from streamdet.fields import option_fields
from streamdet.options import SourceOptions
from streamdet.pipeline.camera import Camera, wait_s
from streamdet.pipeline.line import FrameSource
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run, RunStats
from streamdet.result import Result
from streamdet.serve.options import CameraSite
from streamdet.serve.playback import Playback
from streamdet.serve.watch import State, Status, Tell
from streamdet.serve.zones import Movements
from streamdet.types import VideoInfo
from streamdet.video.segments import SegmentedSink
from streamdet.video.source import open_source

RATE_OVER_S = 10.0  # the time over which the rate of results is taken
STUCK_S = 30.0  # a run that gives no result and reports no outage for as long hangs in a native call
LEAVE_S = 2.0  # how long a thread in a native call may hold up the next connection
JPEG_QUALITY = 80
SEGMENT_S = 600.0  # length of a file of a recording, if none is stated

Take = Callable[[CameraSite, Result], object]
OpenCamera = Callable[[CameraSite], FrameSource]


def open_camera(site: CameraSite) -> FrameSource:
    """Open the source of a camera; a file is played from its beginning. Raises StreamdetError."""
    source = open_source(site.source, **{name: getattr(site, name) for name in option_fields(SourceOptions)})
    return source if source.info.live else Playback(source)


class InProcess:
    """A `Host` of cameras that share `pipeline`, which it closes.

    - `take`: called with every result and its camera, in the thread of that camera; its StreamdetError ends the run,
      which begins again.
    - `open_source`: opens a camera once; raises StreamdetError.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        take: Take = lambda camera, result: None,
        open_source: OpenCamera = open_camera,
    ) -> None:
        self._pipeline, self._take, self._open = pipeline, take, open_source

    def watch(self, camera: CameraSite, tell: Tell) -> LocalWatch:
        """Return the watch of a camera, which has not begun; `tell` is called with its events."""
        return LocalWatch(camera, self._pipeline, tell, take=self._take, open_source=self._open)

    def close(self, timeout_s: float) -> None:
        """Close the pipeline."""
        self._pipeline.close(timeout_s)


class LocalWatch:
    """A `Watch` in this process: a thread that reads one run after the other.

    `take` and `open_source` are those of `InProcess`.
    """

    def __init__(
        self, site: CameraSite, pipeline: Pipeline, tell: Tell, *, take: Take, open_source: OpenCamera
    ) -> None:
        self.site = site
        self._tell, self._movements = tell, Movements(site.name, site.zones)
        self._pipeline, self._take = pipeline, take
        self._open = partial(open_source, site)
        self._opening: tuple[Future[FrameSource], float] | None = None  # while it is opened, and since when
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"camera {site.name}", daemon=True)
        self._run: Run | None = None
        self._camera: Camera | None = None
        self._error: StreamdetError | None = None  # of the last run, until the next one gives a result
        self._state_since: tuple[State, float] = (State.STARTING, time.time())
        self._latest: Result | None = None
        self._newest_s = time.monotonic()  # when the run was opened or gave its newest result
        self._times_s: deque[float] = deque(maxlen=1024)
        self._earlier = RunStats()  # of the runs that have ended
        self._earlier_reconnects = 0
        self._encoding, self._counting = threading.Lock(), threading.Lock()
        self._jpeg: tuple[Result, bytes] | None = None

    def start(self) -> None:
        """Begin to connect and to read."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; does not wait."""
        self._stopped.set()
        if opening := self._opening:
            opening[0].cancel()
        if run := self._run:
            run.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end at most `timeout_s` after ``stop``; return whether it has come."""
        self._thread.join(max(timeout_s, 0.0))
        return not self._thread.is_alive()

    def release_if_stuck(self, now_s: float) -> bool:
        """Leave behind a connection that is being opened or a run, if it hangs; return whether one did.

        Another one begins then. `now_s` is on the scale of ``time.monotonic()``.
        """
        if opening := self._opening:
            return now_s - opening[1] >= STUCK_S and self._leave_opening(opening[0])
        run, camera = self._run, self._camera
        if run is None or (camera is not None and camera.outage) or now_s - self._newest_s < STUCK_S:
            return False
        run.cancel()
        return True

    def status(self) -> Status:
        """Return what is known now; may be called from any thread."""
        state, why = self._state()
        if state is not self._state_since[0]:
            self._state_since = (state, time.time())
        latest, since_s = self._latest, time.monotonic() - RATE_OVER_S
        with self._counting:  # otherwise a run that ends could be counted twice or not at all, and counts fall
            stats = self._run.stats if self._run else RunStats()
            earlier = self._earlier
            reconnects = self._earlier_reconnects + (self._camera.reconnects if self._camera else 0)
        return Status(
            name=self.site.name,
            source=self.site.shown_source,
            state=state,
            why=why,
            since_unix_s=self._state_since[1],
            rate_hz=sum(at_s >= since_s for at_s in list(self._times_s)) / RATE_OVER_S,
            tracks=len(latest.tracks) if latest and state is State.LIVE else 0,
            size=(latest.frame.image.shape[1], latest.frame.image.shape[0]) if latest else None,
            results=earlier.results + stats.results,
            dropped=earlier.dropped + stats.dropped,
            damaged=earlier.damaged + stats.damaged,
            reconnects=reconnects,
            abandoned=earlier.abandoned + stats.abandoned,
            ages_s=stats.ages_s,
            contract=stats.contract,
        )

    def jpeg(self) -> bytes | None:
        """Return the drawing of the newest frame as JPEG, None before the first one.

        It is encoded once, for as many callers as ask for it.
        """
        latest = self._latest
        if latest is None:
            return None
        with self._encoding:
            if self._jpeg is None or self._jpeg[0] is not latest:
                bgr = cv2.cvtColor(latest.draw(), cv2.COLOR_RGB2BGR)
                _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
                self._jpeg = latest, coded.tobytes()
            return self._jpeg[1]

    def _state(self) -> tuple[State, str]:
        outage = self._camera.outage if self._camera else None
        if self._stopped.is_set():
            return State.STOPPED, ""
        if self._error:
            return State.LOST, str(self._error)
        if outage:
            return State.LOST, str(outage.error)
        return (State.LIVE if self._run and self._latest else State.STARTING), ""

    def _watch(self) -> None:
        tries = 0
        while not self._stopped.is_set():
            before = self._latest
            try:
                self._read()
            except Exception as error:  # of any kind: a camera that fails in a new way is tried again too
                tries = tries + 1 if self._latest is before else 0
                if not isinstance(error, StreamdetError):
                    error = StreamdetError(f"unexpected {type(error).__name__}: {error}")
                self._error = error
                self._stopped.wait(wait_s(tries, error))

    def _read(self) -> None:
        """Connect, and read until the camera is stopped; raises StreamdetError when that fails."""
        self._camera = camera = Camera(self._connect(), self._connect)
        options = replace(self.site, draw=self.site.record is not None)
        with self._recording(camera.info) as recording, self._pipeline.run_with(camera, options) as run:
            self._run, self._newest_s = run, time.monotonic()
            if self._stopped.is_set():
                return
            try:
                for result in run:
                    self._latest, self._newest_s, self._error = result, time.monotonic(), None
                    self._times_s.append(self._newest_s)
                    for event in self._movements.update(result):
                        self._tell(event)
                    self._take(self.site, result)
                    if recording:
                        recording.write(result.draw(), result.frame.pts, result.frame.time_base)
            finally:
                run.close(LEAVE_S)
                self._keep(run.stats, camera.reconnects)

    def _connect(self) -> FrameSource:
        """Open the camera once, in a thread of its own that can be left behind; raises StreamdetError."""
        opened = Future[FrameSource]()
        self._opening = opened, time.monotonic()
        if self._stopped.is_set():
            opened.cancel()
        else:
            threading.Thread(target=_open_into, args=(opened, self._open), name="open", daemon=True).start()
        try:
            return opened.result()
        except CancelledError:
            raise SourceSilent(f"expected {self.site.shown_source} to be opened, but that did not return") from None
        finally:
            self._opening = None

    def _leave_opening(self, opened: Future[FrameSource]) -> bool:
        """Leave behind the thread that opens the camera; return whether it was still at it."""
        is_left = opened.cancel()
        with self._counting:
            self._earlier = replace(self._earlier, abandoned=self._earlier.abandoned + is_left)
        return is_left

    def _recording(self, info: VideoInfo) -> AbstractContextManager[SegmentedSink | None]:
        """Return what writes the camera's video, None if it is not recorded; raises StreamdetError."""
        site = self.site
        if site.record is None:
            return nullcontext()
        try:
            site.record.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"expected the folder {site.record} for recordings, but {error.strerror}") from None
        path = site.record / f"{site.name}.mp4"
        return SegmentedSink(path, info=info, segment_s=site.segment_s or SEGMENT_S, keep=site.keep)

    def _keep(self, stats: RunStats, reconnects: int) -> None:
        """Add the counts of a run that has ended to those of the runs before."""
        with self._counting:
            earlier = self._earlier
            self._earlier = RunStats(
                results=earlier.results + stats.results,
                dropped=earlier.dropped + stats.dropped,
                damaged=earlier.damaged + stats.damaged,
                abandoned=earlier.abandoned + stats.abandoned,
            )
            self._earlier_reconnects += reconnects
            self._run = self._camera = None


def _open_into(opened: Future[FrameSource], open_source: Callable[[], FrameSource]) -> None:
    """Let `opened` hold a source or the error of opening it; nobody waits for it if it was cancelled meanwhile."""
    source = error = None
    try:
        source = open_source()
    except BaseException as failure:  # of any kind: it is raised to the reader
        error = failure
    if not opened.set_running_or_notify_cancel():
        if source is not None:
            source.close()
    elif source is not None:
        opened.set_result(source)
    else:
        opened.set_exception(error)
