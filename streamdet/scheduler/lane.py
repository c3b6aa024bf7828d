"""A lane: the queue of one run's frames at a device, which leave it in order with what was detected in them.

Frames that `Lane.put` accepts wait at the head of the lane until the `Scheduler` sends them to the device or past it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from streamdet.inference.session import Output, Request
from streamdet.letterbox import Letterbox
from streamdet.scheduler.lane_options import Key, LaneOptions, Preparation
from streamdet.scheduler.latency import Clock, Detect, Load, Skip
from streamdet.scheduler.threads import Sink, StageTime
from streamdet.types import Frame


@dataclass(slots=True, eq=False)
class QueuedFrame:
    """A frame on its way through a lane, to be fitted into the model input by `letterbox`.

    `queued_at_s` is by the scheduler's clock. `decision` is that of the policy, None before it was asked; `found`
    is the output of the device, None for a frame that was not detected in. A frame is `done` when its output, its error
    or the decision not to detect in it are final.
    """

    lane: Lane
    frame: Frame
    letterbox: Letterbox
    request: Request
    queued_at_s: float
    decision: Detect | Skip | None = None
    found: Output | None = None
    error: BaseException | None = None
    done: bool = False

    @property
    def key(self) -> Key:
        """The key of the slots that the frame fits into."""
        return self.lane.key(self.letterbox)

    @property
    def nbytes(self) -> int:
        """The bytes of the image."""
        return self.frame.image.nbytes


class Lane:
    """The frames of one run at a `Scheduler`, which makes the lane and shares its lock with it.

    The run calls `feed`, `put`, `end`, `stop`, `cancel`, `release`; all else is for the scheduler, with its lock held.
    Frames go to `sink` in order, then the end; an error goes there after the frames ahead of it.

    - `time`: the number of frames that were detected in, and for how long at least one of them was on the device.
    - `dropped`: the number of frames that were dropped, for newer ones or by the policy.
    - `served`: a count of frames by which the scheduler shares the device fairly; it raises that of a lane that was
      idle, which therefore does not catch up.
    - `was_waiting`: whether frames waited when the scheduler last looked.
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
        self._coming: set[Key] = set()
        self.dropped = self.served = 0
        self.was_waiting = self.ended = False
        self._sink, self._clock, self._ready_slots = sink, clock, ready_slots
        self._lock, self._changed, self._room = lock, changed, threading.Condition(lock)
        self._waiting: deque[QueuedFrame] = deque()
        self._order: deque[QueuedFrame] = deque()
        self._credits = options.credits
        self._bytes, self._unread = 0, deque[int]()  # of the images in flight, and of each that has left the queue
        self._closed = self._stopped = self._putting = False
        self._error: BaseException | None = None
        self._on_device, self._busy_since_s = 0, 0.0

    def feed(self, frames: Iterable[Frame]) -> None:
        """Put `frames` until they end or fail, or no more are wanted; then end the lane, with their error if any."""
        try:
            all(map(self.put, frames))  # stops at the first frame that is not wanted
        except BaseException as error:  # of any kind: it is raised to the reader
            self.end(error)
        else:
            self.end()

    def put(self, frame: Frame) -> bool:
        """Append `frame`, waiting for room unless the lane is live; return whether more frames are wanted.

        Slots that the frame needs are made first if there are none, which may take seconds; their errors are raised.
        """
        with self._lock:
            if self._closed:
                return False
            letterboxes = [self._fit(frame, size) for size in (None, *self.options.policy.sizes)]
            self._coming = {self.key(letterbox) for letterbox in letterboxes}
        for letterbox in letterboxes:
            self._ready_slots(self.key(letterbox))
        request = self.preparation.request(frame, letterboxes[0])
        queued = QueuedFrame(self, frame, letterboxes[0], request, self._clock.now_s())
        with self._lock:
            self._putting = True
            self._room.wait_for(partial(self._has_room, queued.nbytes))
            self._putting = False
            if self._closed:
                return False
            self._append(queued)
            self._closed = self._stopped
            self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        """End the lane after the frames that wait, with `error` if there is one; only the first call counts."""
        with self._lock:
            if not self._closed or self._stopped:
                self._closed, self._error = True, self._error or error
                self._settle()

    def stop(self) -> None:
        """End the lane after the frames that wait, without waiting for a producer that does not answer."""
        with self._lock:
            self._stopped = True
            self._closed = self._closed or not self._putting
            self._room.notify_all()
            self._settle()

    def cancel(self, error: BaseException | None = None) -> None:
        """End the lane now, with `error` if there is one; frames on the device are discarded when it is done."""
        with self._lock:
            self._discard(error)

    def release(self) -> None:
        """Return the credit of a frame whose result has been read or discarded."""
        with self._lock:
            self._credits += 1
            if self._unread:
                self._bytes -= self._unread.popleft()
            self._room.notify()
            self._changed.notify_all()

    def key(self, letterbox: Letterbox) -> Key:
        """Return the key of the slots for frames that are fitted by `letterbox`."""
        return Key(self.preparation.session, letterbox.input_hw, self.options.batch)

    @property
    def keys(self) -> set[Key]:
        """The keys that the waiting frames need, and those that the frame in `put` may need."""
        return self._coming.union(queued.key for queued in self._waiting)

    @property
    def waiting(self) -> int:
        """The number of frames that wait and have a credit."""
        return min(len(self._waiting), self._credits)

    @property
    def head(self) -> QueuedFrame:
        """The frame that waits at the front."""
        return self._waiting[0]

    def decide(self, in_flight: int) -> Detect | Skip | None:
        """Return what to do with the head, for which a slot is free while `in_flight` batches are on the device.

        The policy is asked once for each frame. None where it failed, which ends the lane after the frames ahead.
        """
        head = self.head
        if head.decision is None:
            try:
                head.decision = self._ask_policy(head.frame, Load(len(self._waiting), in_flight))
            except Exception as error:  # raised to the reader of this lane, and to no other
                head.error, head.done = error, True
                self._waiting.clear()
                self._closed = True
                self._order.append(head)
                self._deliver()
                return None
            if isinstance(head.decision, Detect) and head.decision.size is not None:
                head.letterbox = self._fit(head.frame, head.decision.size)
        return head.decision

    def skip(self) -> None:
        """Move the head past the device: its tracks will be predicted, or it is dropped."""
        queued = self._pop()
        if queued.decision is Skip.PREDICT:
            self._take_credit(queued)
            queued.done = True
            self._order.append(queued)
            self._deliver()
        else:
            self._bytes -= queued.nbytes
            self.dropped += 1
            self._settle()

    def dispatch(self) -> QueuedFrame:
        """Return the head, which goes to the device."""
        queued = self._pop()
        self._take_credit(queued)
        self.served += 1
        self._order.append(queued)
        if not self._on_device:
            self._busy_since_s = time.perf_counter()
        self._on_device += 1
        return queued

    def complete(self, queued: QueuedFrame) -> None:
        """Accept `queued` back from the device, with its rows or its error."""
        queued.done = True
        self.time.items += 1
        self._on_device -= 1
        if not self._on_device:
            self.time.busy_s += time.perf_counter() - self._busy_since_s
        self._deliver()

    def _ask_policy(self, frame: Frame, load: Load) -> Detect | Skip:
        decision = self.options.policy.admit(frame, self._clock.now_s(), load)
        size = decision.size if isinstance(decision, Detect) else None
        if size is not None and size not in self.options.policy.sizes:
            raise ValueError(f"expected a policy to ask for one of its sizes {self.options.policy.sizes}, found {size}")
        return decision

    def _fit(self, frame: Frame, size: int | None) -> Letterbox:
        return self.preparation.fit(frame.image.shape[:2], size)

    def _pop(self) -> QueuedFrame:
        self._room.notify()
        return self._waiting.popleft()

    def _take_credit(self, queued: QueuedFrame) -> None:
        self._credits -= 1
        self._unread.append(queued.nbytes)

    def _deliver(self) -> None:
        """Pass on the frames that are done, up to the first that is not."""
        while self._order and self._order[0].done:
            queued = self._order.popleft()
            if queued.error is not None:
                self._discard(queued.error)
                return
            self._sink.put(queued)
        self._settle()

    def _discard(self, error: BaseException | None) -> None:
        self._waiting.clear()
        self._order.clear()
        self._closed, self._error = True, error
        self._room.notify_all()
        self._settle()

    def _settle(self) -> None:
        """Pass on the end when no frame is left that comes before it."""
        if self._closed and not self._waiting and not self._order and not self.ended:
            self.ended = True
            self._sink.end(self._error)
            self._changed.notify_all()

    def _has_room(self, nbytes: int) -> bool:
        return self.options.live or self._closed or self._stopped or self._fits(nbytes)

    def _fits(self, nbytes: int) -> bool:
        """Return whether one more frame may wait: an image larger than all that is allowed does when it is alone."""
        return len(self._waiting) < self.options.depth and (
            not self._bytes or self._bytes + nbytes <= self.options.max_bytes
        )

    def _append(self, queued: QueuedFrame) -> None:
        """Let `queued` wait; in a live lane it replaces the oldest ones, or is dropped where that makes no room."""
        while self.options.live and self._waiting and not self._fits(queued.nbytes):
            self._bytes -= self._waiting.popleft().nbytes
            self.dropped += 1
        if self._fits(queued.nbytes):
            self._waiting.append(queued)
            self._bytes += queued.nbytes
        else:
            self.dropped += 1
