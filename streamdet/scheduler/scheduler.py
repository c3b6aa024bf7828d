"""Shares the slots of one device among all runs that use it.

A run has a `Lane`: its frames go in from the thread that decodes, and come out in order with what was found in them.
One thread fills the slots. It waits at one condition for whichever comes first, a frame for a free slot or a slot that
is done, so that a frame never waits for a batch in another slot, nor a result for the next frame.
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
from streamdet.scheduler.lane import Key, Lane, LaneOptions, Preparation, QueuedFrame
from streamdet.scheduler.latency import Clock, Detect, MonotonicClock, Skip
from streamdet.scheduler.threads import Pool, Sink, join_all

# Sizes whose slots stay ready although no frame of them is on its way: a folder of pictures has a few.
KEPT_SIZES = 4


@dataclass(slots=True)
class _Slots:
    """The slots of one key, and which of them are free."""

    every: list[Slot]
    free: list[Slot]


@dataclass(slots=True, eq=False)
class _Flight:
    """A batch in a slot."""

    key: Key
    slot: Slot
    passages: list[QueuedFrame]


class Scheduler:
    """Serves the lanes of one device: live ones first, by turns; the others share the rest by frames.

    While there are live lanes, the others use no more slots than the device computes side by side, so that they delay a
    live frame by one batch at most. Frames of one key share batches, whatever their runs. `pool` runs the stages of
    all runs after the device.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        # Stages hold the interpreter for most of their time: more threads take it from each other, and run slower.
        self.pool = Pool(max(1, core_count() // 2))
        self._clock = clock or MonotonicClock()
        self._lock = threading.RLock()  # a signal's handler may stop a run while its thread holds the lock
        self._changed = threading.Condition(self._lock)
        self._making = threading.Lock()
        self._lanes: list[Lane] = []
        self._slots: OrderedDict[Key, _Slots] = OrderedDict()
        self._flights: list[_Flight] = []
        self._making_for: list[Session] = []  # whose slots are being made
        self._freed: dict[Session, Callable[[], None]] = {}  # what waits for the last slot of a released session
        self._served = {True: 0, False: 0}  # by the live lanes and by the others: of the one that was served last
        self._done: deque[_Flight] = deque()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="detect", daemon=True)
        self._thread.start()

    def lane(self, preparation: Preparation, sink: Sink[QueuedFrame], options: LaneOptions) -> Lane:
        """Return a new lane, whose frames go to `sink` when they have been detected in."""
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
        return lane

    def ready(self, key: Key) -> None:
        """Make the slots of `key` unless they are there; other keys are served meanwhile."""
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

        Where another lane uses the session this waits for the release that follows its end.
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
        """End the threads; return how many have not ended by ``time.monotonic()``."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        return join_all([self._thread], deadline_s) + self.pool.close(deadline_s)

    def _is_used(self, session: Session) -> bool:
        return any(lane.preparation.session is session and not lane.ended for lane in self._lanes)

    def _freed_now(self, session: Session) -> Callable[[], None]:
        """Return what waits for the last slot of `session`, if that is gone."""
        in_flight = any(flight.key.session is session for flight in self._flights)
        if in_flight or session in self._making_for:
            return _nothing
        return self._freed.pop(session, _nothing)

    def _known(self, key: Key) -> bool:
        """Return whether there are slots of `key`, which is in use now."""
        if key in self._slots:
            self._slots.move_to_end(key)
        return key in self._slots

    def _surplus(self, newest: Key) -> list[Slot]:
        """Forget idle keys, those first that were not used for the longest time, and return their slots."""
        surplus: list[Slot] = []
        wanted = {newest, *(key for lane in self._lanes if not lane.ended for key in lane.keys)}
        for key in [key for key in self._slots if key.session is newest.session and key not in wanted]:
            kept = sum(each.session is newest.session for each in self._slots)
            if kept > KEPT_SIZES and len(self._slots[key].free) == len(self._slots[key].every):
                surplus += self._slots.pop(key).every
        return surplus

    def _serve(self) -> None:
        while True:
            with self._lock:
                while (work := self._next()) is None:
                    if self._closed and not self._flights:
                        return
                    self._clock.wait(self._changed, self._timeout_s())
            work()

    def _next(self) -> Callable[[], None] | None:
        """Return what to do now, None if that is nothing."""
        if self._done:
            return partial(self._collect, self._done.popleft())
        for lane in self._by_urgency():
            while lane.waiting and self._free_slots(lane):
                decision = lane.decided(len(self._flights))
                if isinstance(decision, Skip):
                    lane.skip()
                # The decision may have changed the size, and with it the slots.
                elif decision is not None and (slots := self._free_slots(lane)) and self._is_due(lane.head):
                    return partial(self._submit, self._board(lane.head.key, slots))
                else:
                    break
        return None

    def _by_urgency(self) -> list[Lane]:
        """Return the lanes with frames that may go on: the live ones, then the others, the least served first.

        Of live lanes that were served alike the oldest capture is first. A lane that had nothing to do for a while does
        not get back what it did not need then: it counts as served as the last one that was.
        """
        for lane in self._lanes:
            if lane.waiting and not lane.was_waiting:
                lane.served = max(lane.served, self._served[lane.options.live])
            lane.was_waiting = bool(lane.waiting)
        waiting = [lane for lane in self._lanes if lane.waiting]
        return sorted(waiting, key=lambda lane: (not lane.options.live, lane.served, lane.head.frame.received_at))

    def _free_slots(self, lane: Lane) -> _Slots | None:
        """Return the slots that fit the head of `lane`, if it may have one of them."""
        slots = self._slots.get(lane.head.key)
        if slots is None or not slots.free:
            return None
        yields = not lane.options.live and any(each.options.live and not each.ended for each in self._lanes)
        limit = lane.preparation.session.parallel if yields else len(slots.every)
        return slots if len(self._flights) < limit else None

    def _is_due(self, head: QueuedFrame) -> bool:
        """Return whether the batch that `head` leads is full, or has waited long enough."""
        alike = (lane for lane in self._lanes if lane.waiting and lane.head.key == head.key)
        is_full = sum(lane.waiting for lane in alike) >= head.key.batch
        return is_full or self._clock.now_s() >= head.queued_at_s + head.lane.options.wait_s

    def _timeout_s(self) -> float | None:
        """Return how long it is until the next batch that is not full is due, None if none waits."""
        due_s = [lane.head.queued_at_s + lane.options.wait_s for lane in self._lanes if lane.waiting]
        now_s = self._clock.now_s()
        return min((each_s - now_s for each_s in due_s if each_s > now_s), default=None)

    def _board(self, key: Key, slots: _Slots) -> _Flight:
        """Take a slot and fill it, frame by frame, from the lane that is most urgent at the time."""
        flight = _Flight(key, slots.free.pop(), [])
        while len(flight.passages) < key.batch and (lane := self._next_of(key)):
            self._served[lane.options.live] = lane.served
            flight.passages.append(lane.depart())
        self._flights.append(flight)
        return flight

    def _next_of(self, key: Key) -> Lane | None:
        """Return the most urgent lane whose head is to be detected in by slots of `key`."""
        for lane in self._by_urgency():
            # The decision may change the size.
            if lane.head.key == key and isinstance(lane.decided(len(self._flights)), Detect) and lane.head.key == key:
                return lane
        return None

    def _submit(self, flight: _Flight) -> None:
        try:
            flight.slot.submit([_request(passage) for passage in flight.passages], partial(self._announce, flight))
        except BaseException as error:  # whatever it is, it belongs to the runs in this batch
            self._land(flight, error)

    def _announce(self, flight: _Flight) -> None:
        with self._lock:
            self._done.append(flight)
            self._changed.notify_all()

    def _collect(self, flight: _Flight) -> None:
        error = None
        try:
            for passage, rows in zip(flight.passages, flight.slot.collect(), strict=True):
                passage.rows = rows
        except BaseException as raised:
            error = raised
        self._land(flight, error)

    def _land(self, flight: _Flight, error: BaseException | None) -> None:
        """Hand on the frames and free the slot, which is closed if nothing uses its session any more."""
        with self._lock:
            if flight not in self._flights:  # a slot that both raised and announced that it was done
                return
            self._flights.remove(flight)
            slots = self._slots.get(flight.key)
            is_kept = slots is not None and flight.slot in slots.every
            if slots is not None and is_kept:
                slots.free.append(flight.slot)
            for passage in flight.passages:
                passage.error = error
                passage.lane.arrive(passage)
            freed = _nothing if self._is_used(flight.key.session) else self._freed_now(flight.key.session)
        _close([] if is_kept else [flight.slot], freed)


def _request(passage: QueuedFrame) -> Request:
    """Return what a slot takes, made anew where the policy decided for another size."""
    if passage.request.letterbox == passage.letterbox:
        return passage.request
    return passage.lane.preparation.request(passage.frame, passage.letterbox)


def _nothing() -> None: ...


def _close(slots: list[Slot], freed: Callable[[], None]) -> None:
    """Close `slots`, then call `freed`; what fails then is of no consequence to the runs that go on."""
    for close in (*(slot.close for slot in slots), freed):
        with suppress(Exception):
            close()
