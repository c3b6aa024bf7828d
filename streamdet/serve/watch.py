"""One camera of a server: a thread that reads its run for as long as the server lives, and what is known of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

import cv2

from streamdet.errors import OutputError, StreamdetError
from streamdet.fields import option_fields
from streamdet.options import SourceOptions
from streamdet.pipeline.camera import Camera, wait_s
from streamdet.pipeline.line import FrameSource
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run, RunStats
from streamdet.result import Result
from streamdet.serve.playback import Playback
from streamdet.serve.site import CameraSite
from streamdet.types import VideoInfo
from streamdet.video.segments import SegmentedSink
from streamdet.video.source import open_source

RATE_OVER_S = 10.0  # the time over which the rate of results is taken
STUCK_S = 30.0  # a run that gives no result and reports no outage for as long hangs in a native call
LEAVE_S = 2.0  # how long a thread in a native call may hold up the next connection
JPEG_QUALITY = 80
SEGMENT_S = 600.0  # length of a file of a recording, if none is stated


class State(Enum):
    """What a camera is doing."""

    STARTING = "starting"  # it was not connected yet
    LIVE = "live"
    LOST = "lost"  # it is tried again
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a camera at one moment.

    - `why`: the error of an outage as a sentence, empty while the camera is live.
    - `since_unix_s`: when the state began.
    - `rate_hz`: results per second over the last `RATE_OVER_S`.
    - `tracks`: the number of tracks in the newest result.
    - `size`: (width, height) of the newest frame in px, None before it.
    - `results`, `dropped`, `reconnects`, `abandoned`: counts since the server started.
    - `ages_s`: the ages of the last results, from the arrival of the frame until its result was read.
    """

    name: str
    source: str
    state: State
    why: str
    since_unix_s: float
    rate_hz: float
    tracks: int
    size: tuple[int, int] | None
    results: int
    dropped: int
    reconnects: int
    abandoned: int
    ages_s: tuple[float, ...]

    def age_s(self, percentile: float) -> float:
        """Return a percentile (0 to 100) of the ages in s, NaN before the first result."""
        return RunStats(ages_s=self.ages_s).age_s(percentile)


class Watch:
    """A camera that is read in a thread of its own until ``stop``, over outages, hanging reads and failed runs.

    - `site`: the camera's name and options.
    - `take`: called with every result, in that thread; its StreamdetError ends the run, which begins again.
    - `open_source`: opens the camera once; raises StreamdetError.
    """

    def __init__(
        self,
        site: CameraSite,
        pipeline: Pipeline,
        *,
        take: Callable[[Result], object],
        open_source: Callable[[CameraSite], FrameSource],
    ) -> None:
        self.site = site
        self._pipeline, self._take = pipeline, take
        self._open = partial(open_source, site)
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
        if run := self._run:
            run.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end at most `timeout_s` after ``stop``; return whether it has come."""
        self._thread.join(max(timeout_s, 0.0))
        return not self._thread.is_alive()

    def release_if_stuck(self, now_s: float) -> bool:
        """Leave the run behind if it hangs, so that another one begins; return whether it did hang.

        `now_s` is on the scale of ``time.monotonic()``.
        """
        run, camera = self._run, self._camera
        if run is None or (camera is not None and camera.outage) or now_s - self._newest_s < STUCK_S:
            return False
        run.cancel()
        return True

    @property
    def latest(self) -> Result | None:
        """The newest result."""
        return self._latest

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
            reconnects=reconnects,
            abandoned=earlier.abandoned + stats.abandoned,
            ages_s=stats.ages_s,
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
            except StreamdetError as error:
                tries = tries + 1 if self._latest is before else 0
                self._error = error
                self._stopped.wait(wait_s(tries, error))

    def _read(self) -> None:
        """Connect, and read until the camera is stopped; raises StreamdetError when that fails."""
        self._camera = camera = Camera(self._open(), self._open)
        options = replace(self.site, draw=self.site.record is not None)
        with self._recording(camera.info) as recording, self._pipeline.run_with(camera, options) as run:
            self._run, self._newest_s = run, time.monotonic()
            if self._stopped.is_set():
                return
            try:
                for result in run:
                    self._latest, self._newest_s, self._error = result, time.monotonic(), None
                    self._times_s.append(self._newest_s)
                    self._take(result)
                    if recording:
                        recording.write(result.draw(), result.frame.pts, result.frame.time_base)
            finally:
                run.close(LEAVE_S)
                self._keep(run.stats, camera.reconnects)

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
                abandoned=earlier.abandoned + stats.abandoned,
            )
            self._earlier_reconnects += reconnects
            self._run = self._camera = None


def open_camera(site: CameraSite) -> FrameSource:
    """Open the source of a camera; a file is played from its beginning. Raises StreamdetError."""
    source = open_source(site.source, **{name: getattr(site, name) for name in option_fields(SourceOptions)})
    return source if source.info.live else Playback(source)
