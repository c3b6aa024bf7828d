"""The way of one run's frames through a device: they wait, are detected in, and leave in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streamdet.inference.session import Request, Session
from streamdet.letterbox import Letterbox
from streamdet.scheduler.latency import Clock, Detect, EveryFrame, Load, Policy, Skip
from streamdet.scheduler.threads import Sink, StageTime
from streamdet.types import Float32Array, Frame


class Key(NamedTuple):
    """What slots are made for: a model, height and width of its input in px, and how many images at once."""

    session: Session
    input_hw: tuple[int, int]
    batch: int


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How the frames of a run are served.

    A `live` run is served first and keeps its newest `depth` frames; any other waits for room for its next one. A batch
    has up to `batch` images, and one that is not full waits `wait_s` for more. At most `credits` frames at a time are
    past the queue and not yet released; `policy` decides which frames are detected in.
    """

    live: bool
    batch: int = 1
    wait_s: float = 0.0
    depth: int = 4
    credits: int = 8
    policy: Policy = field(default_factory=EveryFrame)


class Preparation(Protocol):
    """How the frames of a run become requests to a session."""

    @property
    def session(self) -> Session:
        """The model."""

    def fit(self, image_hw: tuple[int, int], size: int | None = None) -> Letterbox:
        """Fit images of `image_hw` px into the model input, whose longer side is `size` px, None for the run's own."""

    def request(self, frame: Frame, letterbox: Letterbox) -> Request:
        """Return `frame` as slots take it; takes its time, and belongs to the thread of the run."""


@dataclass(slots=True, eq=False)
class QueuedFrame:
    """A frame on its way, to be fitted by `letterbox`.

    `decision` is what the policy said of it, None before it was asked; `rows` f32 (N, 6) are what the device gave, None
    where it was not detected in.
    """

    lane: Lane
    frame: Frame
    letterbox: Letterbox
    request: Request
    queued_at_s: float
    decision: Detect | Skip | None = None
    rows: Float32Array | None = None
    error: BaseException | None = None
    arrived: bool = False

    @property
    def key(self) -> Key:
        """The slots that it fits into."""
        return self.lane.key(self.letterbox)


class Lane:
    """The frames of one run at a `Scheduler`, which makes it; its lock is the scheduler's.

    The run calls `put`, `end`, `stop`, `cancel` and `release`; all else is for the scheduler, with its lock held.
    Frames go to `sink` in order, then the end; an error goes there after the frames ahead of it. `time` counts the
    frames that were detected in and for how long any of them was with the device, `dropped` those that never were;
    `served` is the lane's share of the device in frames, by a count that the scheduler keeps fair.
    """

    def __init__(
        self,
        preparation: Preparation,
        sink: Sink[QueuedFrame],
        options: LaneOptions,
        *,
        clock: Clock,
        changed: threading.Condition,
        lock: threading.RLock,
        ready_slots: Callable[[Key], None],
    ) -> None:
        self.preparation, self.options = preparation, options
        self.time = StageTime("detect")
        self.was_waiting = False
        self._coming: set[Key] = set()
        self.dropped = self.served = 0
        self.ended = False
        self._sink, self._clock, self._ready_slots = sink, clock, ready_slots
        self._lock, self._changed, self._room = lock, changed, threading.Condition(lock)
        self._waiting: deque[QueuedFrame] = deque()
        self._order: deque[QueuedFrame] = deque()
        self._credits = options.credits
        self._closed = self._stopped = self._putting = False
        self._error: BaseException | None = None
        self._flying, self._since_s = 0, 0.0

    def put(self, frame: Frame) -> bool:
        """Append `frame`, waiting for room unless the lane is live; return whether more frames are wanted.

        Makes the slots that it needs if there are none, which may take seconds; raises what that raises.
        """
        with self._lock:
            if self._closed:
                return False
            letterboxes = [self._fit(frame, size) for size in (None, *self.options.policy.sizes)]
            self._coming = {self.key(letterbox) for letterbox in letterboxes}
        for letterbox in letterboxes:
            self._ready_slots(self.key(letterbox))
        request = self.preparation.request(frame, letterboxes[0])
        passage = QueuedFrame(self, frame, letterboxes[0], request, self._clock.now_s())
        with self._lock:
            self._putting = True
            self._room.wait_for(self._has_room)
            self._putting = False
            if self._closed:
                return False
            if len(self._waiting) == self.options.depth and self.options.live:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(passage)
            self._closed = self._stopped
            self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        """Let what waits come out, then the end or `error`; only the first call counts."""
        with self._lock:
            if not self._closed or self._stopped:
                self._closed, self._error = True, self._error or error
                self._settle()

    def stop(self) -> None:
        """Let what waits come out, then the end, without waiting for a producer that does not answer."""
        with self._lock:
            self._stopped = True
            self._closed = self._closed or not self._putting
            self._room.notify_all()
            self._settle()

    def cancel(self) -> None:
        """End now; what waits is discarded, and what is with the device when it comes back."""
        with self._lock:
            self._discard(None)

    @property
    def keys(self) -> set[Key]:
        """The slots that frames in the lane, and the one that is coming, need or may need."""
        return self._coming.union(passage.key for passage in self._waiting)

    def release(self) -> None:
        """Give back the credit of a frame, whose result has been read or discarded."""
        with self._lock:
            self._credits += 1
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """The number of frames that wait and may go on."""
        return min(len(self._waiting), self._credits)

    @property
    def head(self) -> QueuedFrame:
        """The frame that waits at the front."""
        return self._waiting[0]

    def decided(self, in_flight: int) -> Detect | Skip | None:
        """Return what to do with the head; a slot is free for it, and `in_flight` batches are with the device.

        None where the policy failed, which ends the lane after the frames ahead.
        """
        head = self.head
        if head.decision is None:
            try:
                head.decision = self._decide(head.frame, Load(len(self._waiting), in_flight))
            except Exception as error:  # it belongs to the reader, and to no other lane
                head.error, head.arrived = error, True
                self._waiting.clear()
                self._closed = True
                self._order.append(head)
                self._deliver()
                return None
            if isinstance(head.decision, Detect) and head.decision.size is not None:
                head.letterbox = self._fit(head.frame, head.decision.size)
        return head.decision

    def skip(self) -> None:
        """Take the head past the device: its tracks will be predicted, or it is dropped."""
        passage = self._pop()
        if passage.decision is Skip.PREDICT:
            self._credits -= 1
            passage.arrived = True
            self._order.append(passage)
            self._deliver()
        else:
            self.dropped += 1
            self._settle()

    def depart(self) -> QueuedFrame:
        """Take the head to the device."""
        passage = self._pop()
        self._credits -= 1
        self.served += 1
        self._order.append(passage)
        if not self._flying:
            self._since_s = time.perf_counter()
        self._flying += 1
        return passage

    def arrive(self, passage: QueuedFrame) -> None:
        """Take `passage` back from the device, with its rows or its error."""
        passage.arrived = True
        self.time.items += 1
        self._flying -= 1
        if not self._flying:
            self.time.busy_s += time.perf_counter() - self._since_s
        self._deliver()

    def _decide(self, frame: Frame, load: Load) -> Detect | Skip:
        decision = self.options.policy.admit(frame, self._clock.now_s(), load)
        size = decision.size if isinstance(decision, Detect) else None
        if size is not None and size not in self.options.policy.sizes:
            raise ValueError(f"expected a policy to ask for one of its sizes {self.options.policy.sizes}, found {size}")
        return decision

    def _fit(self, frame: Frame, size: int | None) -> Letterbox:
        return self.preparation.fit(frame.image.shape[:2], size)

    def key(self, letterbox: Letterbox) -> Key:
        """Return the slots for frames that are fitted by `letterbox`."""
        return Key(self.preparation.session, letterbox.input_hw, self.options.batch)

    def _pop(self) -> QueuedFrame:
        self._room.notify()
        return self._waiting.popleft()

    def _deliver(self) -> None:
        """Hand on what is complete at the front."""
        while self._order and self._order[0].arrived:
            passage = self._order.popleft()
            if passage.error is not None:
                self._discard(passage.error)
                return
            self._sink.put(passage)
        self._settle()

    def _discard(self, error: BaseException | None) -> None:
        self._waiting.clear()
        self._order.clear()
        self._closed, self._error = True, error
        self._room.notify_all()
        self._settle()

    def _settle(self) -> None:
        """Hand on the end, once nothing is left that could come before it."""
        if self._closed and not self._waiting and not self._order and not self.ended:
            self.ended = True
            self._sink.end(self._error)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self.options.live or self._closed or self._stopped or len(self._waiting) < self.options.depth
