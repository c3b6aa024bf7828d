"""Shares the slots of one device among all runs that use it.

Every run has a `Lane`: its decoding thread puts frames in, which come out in order with what was detected in them. One
thread fills the slots. It waits on one condition for whichever comes first, a frame for a free slot or a slot that is
done, so that a frame never waits for the batch in another slot, nor a result for the next frame.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from streamdet.inference.session import Request, Session, Slot
from streamdet.machine import core_count
from streamdet.scheduler.lane import Lane, QueuedFrame
from streamdet.scheduler.lane_options import Key, LaneOptions, Preparation
from streamdet.scheduler.latency import Clock, Detect, MonotonicClock, Skip
from streamdet.scheduler.threads import Pool, Sink, join_all

# Idle slots are kept until a session has slots for more input sizes than this: a folder of pictures has a few.
KEPT_SIZES = 4


@dataclass(slots=True)
class _Slots:
    """All slots of one key, and the free ones among them."""

    every: list[Slot]
    free: list[Slot]


@dataclass(slots=True, eq=False)
class _Batch:
    """A batch of frames in a slot."""

    key: Key
    slot: Slot
    frames: list[QueuedFrame]


class Scheduler:
    """Serves the lanes of one device: live lanes first, in turn; the others share the rest, frame by frame.

    While there are live lanes, the others use no more slots than the device computes side by side, so that they delay a
    live frame by one batch at most. Frames of one key share batches, whatever their runs. `pool` runs the later stages
    of all runs.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        # Stages hold the interpreter lock for most of their time: more threads contend for it, and run slower.
        self.pool = Pool(max(1, core_count() // 2))
        self._clock = clock or MonotonicClock()
        self._lock = threading.RLock()  # a signal's handler may stop a run while its thread holds the lock
        self._changed = threading.Condition(self._lock)
        self._making = threading.Lock()
        self._lanes: list[Lane] = []
        self._slots: OrderedDict[Key, _Slots] = OrderedDict()
        self._in_flight: list[_Batch] = []
        self._making_for: list[Session] = []  # sessions whose slots are being made
        self._freed: dict[Session, Callable[[], None]] = {}  # to be called after the last slot of a released session
        self._served = {True: 0, False: 0}  # `Lane.served` of the lane served last, among live ones (True) and others
        self._done: deque[_Batch] = deque()
        self._closed = False
        self._failure: BaseException | None = None  # what ended the thread, if it failed
        self._thread = threading.Thread(target=self._serve, name="detect", daemon=True)
        self._thread.start()

    def lane(self, preparation: Preparation, sink: Sink[QueuedFrame], options: LaneOptions) -> Lane:
        """Return a new lane, which sends its frames to `sink` in order after detection."""
        lane = Lane(
            preparation,
            sink,
            options,
            clock=self._clock,
            changed=self._changed,
            lock=self._lock,
            ready_slots=self.ready,
        )
        with self._lock:
            self._lanes = [each for each in self._lanes if not each.ended]
            self._lanes.append(lane)
            if self._failure:
                lane.cancel(self._failure)
        return lane

    def ready(self, key: Key) -> None:
        """Make the slots of `key` unless they exist; other keys are served meanwhile."""
        with self._lock:
            if self._known(key):
                return
        with self._making:
            with self._lock:
                if self._known(key):
                    return
                self._making_for.append(key.session)
            try:
                slots = key.session.new_slots(key.input_hw, key.batch)
            finally:
                with self._lock:
                    self._making_for.remove(key.session)
            with self._lock:
                if self._is_used(key.session):
                    self._slots[key] = _Slots(slots, list(slots))
                    slots, freed = self._surplus(key), _nothing
                else:
                    freed = self._freed_now(key.session)
        _close(slots, freed)

    def release(self, session: Session, freed: Callable[[], None] | None = None) -> None:
        """Close the slots of `session`, those in flight when the device is done with them; then call `freed`.

        While another lane uses the session nothing is closed; `freed` is then left to the release that follows its end.
        """
        with self._lock:
            if freed is not None:
                self._freed[session] = freed
            if self._is_used(session):
                return
            keys = [key for key in self._slots if key.session is session]
            slots = [slot for key in keys for slot in self._slots.pop(key).free]
            freed = self._freed_now(session)
        _close(slots, freed)

    def close(self, deadline_s: float) -> int:
        """End the threads; return how many have not ended by `deadline_s` of ``time.monotonic()``."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        return join_all([self._thread], deadline_s) + self.pool.close(deadline_s)

    def _is_used(self, session: Session) -> bool:
        return any(lane.preparation.session is session and not lane.ended for lane in self._lanes)

    def _freed_now(self, session: Session) -> Callable[[], None]:
        """Return what is to be called after the last slot of `session`, if that slot is gone."""
        is_in_flight = any(batch.key.session is session for batch in self._in_flight)
        if is_in_flight or session in self._making_for:
            return _nothing
        return self._freed.pop(session, _nothing)

    def _known(self, key: Key) -> bool:
        """Return whether there are slots of `key`, and mark it as used last."""
        if key in self._slots:
            self._slots.move_to_end(key)
        return key in self._slots

    def _surplus(self, newest: Key) -> list[Slot]:
        """Forget idle keys beyond `KEPT_SIZES`, the least recently used first, and return their slots."""
        surplus: list[Slot] = []
        wanted = {newest, *(key for lane in self._lanes if not lane.ended for key in lane.keys)}
        for key in [key for key in self._slots if key.session is newest.session and key not in wanted]:
            kept = sum(each.session is newest.session for each in self._slots)
            if kept > KEPT_SIZES and len(self._slots[key].free) == len(self._slots[key].every):
                surplus += self._slots.pop(key).every
        return surplus

    def _serve(self) -> None:
        try:
            while work := self._wait_for_work():
                work()
        except BaseException as error:  # without this thread every run would wait for ever
            with self._lock:
                self._failure = error
                for lane in self._lanes:
                    lane.cancel(error)

    def _wait_for_work(self) -> Callable[[], None] | None:
        """Return the next piece of work, None at the end."""
        with self._lock:
            while (work := self._next()) is None:
                if self._closed and not self._in_flight:
                    return None
                self._clock.wait(self._changed, self._timeout_s())
        return work

    def _next(self) -> Callable[[], None] | None:
        """Return the next piece of work, which is done without the lock, None if there is none."""
        if self._done:
            return partial(self._collect, self._done.popleft())
        for lane in self._by_urgency():
            while lane.waiting and self._free_slots(lane):
                decision = lane.decide(len(self._in_flight))
                if isinstance(decision, Skip):
                    lane.skip()
                # The decision may have changed the size, and with it the slots.
                elif decision is not None and (slots := self._free_slots(lane)) and self._is_due(lane.head):
                    return partial(self._submit, self._fill(lane.head.key, slots))
                else:
                    break
        return None

    def _by_urgency(self) -> list[Lane]:
        """Return the lanes with frames that may go on: the live ones, then the others, the least served first.

        Among lanes that were served alike the oldest capture comes first. A lane that was idle does not catch up later:
        it counts as served as much as the lane that was served last.
        """
        for lane in self._lanes:
            if lane.waiting and not lane.was_waiting:
                lane.served = max(lane.served, self._served[lane.options.live])
            lane.was_waiting = bool(lane.waiting)
        waiting = [lane for lane in self._lanes if lane.waiting]
        return sorted(waiting, key=lambda lane: (not lane.options.live, lane.served, lane.head.frame.received_at))

    def _free_slots(self, lane: Lane) -> _Slots | None:
        """Return the slots that fit the head of `lane`, None unless one is free that the lane may use."""
        slots = self._slots.get(lane.head.key)
        if slots is None or not slots.free:
            return None
        yields = not lane.options.live and any(each.options.live and not each.ended for each in self._lanes)
        limit = lane.preparation.session.parallel if yields else len(slots.every)
        return slots if len(self._in_flight) < limit else None

    def _is_due(self, head: QueuedFrame) -> bool:
        """Return whether the batch that `head` leads is full, or has waited long enough."""
        alike = (lane for lane in self._lanes if lane.waiting and lane.head.key == head.key)
        is_full = sum(lane.waiting for lane in alike) >= head.key.batch
        return is_full or self._clock.now_s() >= head.queued_at_s + head.lane.options.wait_s

    def _timeout_s(self) -> float | None:
        """Return the time in s until the next batch that is not full is due, None if there is none."""
        due_s = [lane.head.queued_at_s + lane.options.wait_s for lane in self._lanes if lane.waiting]
        now_s = self._clock.now_s()
        return min((each_s - now_s for each_s in due_s if each_s > now_s), default=None)

    def _fill(self, key: Key, slots: _Slots) -> _Batch:
        """Take a free slot and fill it, frame by frame, from the lane that is the most urgent at the time."""
        batch = _Batch(key, slots.free.pop(), [])
        while len(batch.frames) < key.batch and (lane := self._next_lane(key)):
            self._served[lane.options.live] = lane.served
            batch.frames.append(lane.dispatch())
        self._in_flight.append(batch)
        return batch

    def _next_lane(self, key: Key) -> Lane | None:
        """Return the most urgent lane whose head is to be detected in by slots of `key`."""
        for lane in self._by_urgency():
            # The decision may change the size.
            if lane.head.key == key and isinstance(lane.decide(len(self._in_flight)), Detect) and lane.head.key == key:
                return lane
        return None

    def _submit(self, batch: _Batch) -> None:
        try:
            batch.slot.submit([_request(queued) for queued in batch.frames], partial(self._mark_done, batch))
        except BaseException as error:  # raised to the readers of the runs in this batch
            self._finish(batch, error)

    def _mark_done(self, batch: _Batch) -> None:
        with self._lock:
            self._done.append(batch)
            self._changed.notify_all()

    def _collect(self, batch: _Batch) -> None:
        error = None
        try:
            for queued, found in zip(batch.frames, batch.slot.collect(), strict=True):
                queued.found = found
        except BaseException as raised:
            error = raised
        self._finish(batch, error)

    def _finish(self, batch: _Batch, error: BaseException | None) -> None:
        """Pass on the frames and free the slot, which is closed if its key has been forgotten meanwhile."""
        with self._lock:
            if batch not in self._in_flight:  # a slot that both raised and announced that it was done
                return
            self._in_flight.remove(batch)
            slots = self._slots.get(batch.key)
            is_kept = slots is not None and batch.slot in slots.every
            if slots is not None and is_kept:
                slots.free.append(batch.slot)
            for queued in batch.frames:
                queued.error = error
                queued.lane.complete(queued)
            freed = _nothing if self._is_used(batch.key.session) else self._freed_now(batch.key.session)
        _close([] if is_kept else [batch.slot], freed)


def _request(queued: QueuedFrame) -> Request:
    """Return the request of a frame, made anew if the policy has changed its size."""
    if queued.request.letterbox == queued.letterbox:
        return queued.request
    return queued.lane.preparation.request(queued.frame, queued.letterbox)


def _nothing() -> None: ...


def _close(slots: list[Slot], freed: Callable[[], None]) -> None:
    """Close `slots`, then call `freed`; errors are suppressed, since they do not concern the runs that go on."""
    for close in (*(slot.close for slot in slots), freed):
        with suppress(Exception):
            close()
