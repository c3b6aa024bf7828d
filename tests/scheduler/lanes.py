"""Lanes with readers, and a policy that a test decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from streamdet.detect.detector import Detector
from streamdet.options import DetectOptions
from streamdet.scheduler.lane import Lane, QueuedFrame
from streamdet.scheduler.lane_options import LaneOptions
from streamdet.scheduler.latency import Detect, Load, Skip
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.threads import Channel
from streamdet.types import Frame
from tests.pipeline.fakes import FakeSession


class Chosen:
    """Decides by a function of the frame's index."""

    def __init__(self, decide: Callable[[int], Detect | Skip], sizes: Sequence[int] = ()) -> None:
        self.sizes = sizes
        self.loads: list[Load] = []
        self._decide = decide

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        self.loads.append(load)
        return self._decide(frame.index)

    def done(self, frame: Frame, now_s: float) -> None: ...


class Reading:
    """A lane with its reader."""

    def __init__(self, scheduler: Scheduler, session: FakeSession, *, live: bool = False, **options: Any) -> None:
        detector = Detector.from_session(session, DetectOptions())
        self.frames: Channel[QueuedFrame] = Channel(left=lambda: self.lane.release())
        self.lane: Lane = scheduler.lane(detector, self.frames, LaneOptions(live=live, **options))

    def put_all(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self.lane.put(frame)
        self.lane.end()

    def read(self) -> list[tuple[int, bool]]:
        return [(queued.frame.index, queued.found is not None) for queued in self.frames]
