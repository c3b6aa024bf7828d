"""Fakes: a device whose slots finish in any legal order, a clock and sources controlled by a test, and clips."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from streamdet.inference.session import ModelCard, Precision, Request, Slot
from streamdet.letterbox import Letterbox
from streamdet.types import Float32Array, Frame, ToDevice, UInt8Array, VideoInfo

PATIENCE_S = 20.0  # longest time that a test waits before it fails
CLASS_NAMES = ("person", "car")
STRIDE = 32


def soon(condition: Callable[[], bool]) -> bool:
    """Wait until other threads make `condition` true; return whether it became true within `PATIENCE_S`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.001)
    return True


def fake_rows(level: int) -> Float32Array:
    """Return the rows found in an image of a grey level: 8 persons and cars of rising score, shifted by the level.

    Row k has the score 0.1 (k + 1) and the class k % 2; its box begins at x = 30 k + level % 20.
    """
    left = 30.0 * np.arange(8) + level % 20
    columns = [left, left * 0 + 8, left + 20, left * 0 + 40, 0.1 * (np.arange(8) + 1), np.arange(8) % 2]
    return np.column_stack(columns).astype(np.float32)


def grey_level(request: Request) -> int:
    """Return the grey level of a request's image."""
    return int(request.staged.image[0, 0, 0])


@dataclass
class FakeClock:
    """A clock that changes only when a test advances it."""

    time_s: float = 100.0
    waiting: set[threading.Condition] = field(default_factory=set)

    def now_s(self) -> float:
        return self.time_s

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        self.waiting.add(condition)
        condition.wait()

    def advance(self, seconds: float) -> None:
        self.time_s += seconds
        for condition in self.waiting:
            with condition:
                condition.notify_all()


Find = Callable[[Frame], list[list[float]]]


class FakeSession:
    """A session that computes batches in two slots.

    - `held`: a batch finishes when the test calls `finish`; otherwise batches finish in a random order given by `seed`.
    - `find`: a function from a frame to the boxes of persons in px of the image; without it, the result for an image is
      the `fake_rows` of its grey level.
    - `log`: the slots that were made and closed.
    - `batches`: the grey levels of the images that were computed together.
    - `failing`: grey levels of images whose batches raise an error.
    """

    name, parallel, selects, to_device = "fake", 2, False, None
    precision: Precision = "fp32"

    def __init__(self, *, seed: int = 0, held: bool = False, slots: int = 2, find: Find | None = None) -> None:
        self.card = ModelCard(class_names=CLASS_NAMES, stride=STRIDE)
        self.device = f"fake {id(self)}"
        self.held, self.closed, self.find = held, False, find
        self.log: list[str] = []
        self.batches: list[list[int]] = []
        self.failing: set[int] = set()
        self.making = threading.Lock()
        self._slots, self._random = slots, np.random.default_rng(seed)
        self._changed = threading.Condition()
        self._pending: deque[FakeSlot] = deque()
        threading.Thread(target=self._finish_at_random, name="fake device", daemon=True).start()

    def __call__(self, images: npt.NDArray[Any]) -> Float32Array:
        return np.stack([fake_rows(int(image[image.shape[0] // 2, image.shape[1] // 2, 0])) for image in images])

    def stage(self, frame: Frame, letterbox: Letterbox) -> Frame:
        return frame

    def rows(self, request: Request) -> Float32Array:
        """Return the rows found in the image of a request."""
        if self.find is None:
            return fake_rows(grey_level(request))
        letterbox, boxes = request.letterbox, np.array(self.find(request.staged), np.float32).reshape(-1, 4)
        boxes = boxes * np.float32(letterbox.scale) + np.array([letterbox.pad_x, letterbox.pad_y] * 2, np.float32)
        return np.column_stack([boxes, np.full(len(boxes), 0.9), np.zeros(len(boxes))]).astype(np.float32)

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        with self.making:
            self.log.append(f"make {input_hw[0]}x{input_hw[1]}")
        return [FakeSlot(self) for _ in range(self._slots)]

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    @property
    def pending(self) -> int:
        """The number of batches that the device has not finished."""
        return len(self._pending)

    def finish(self, place: int = 0) -> None:
        """Finish the pending batch at index `place`, 0 for the one submitted first."""
        assert soon(lambda: len(self._pending) > place), "nothing was submitted"
        with self._changed:
            slot = self._pending[place]
            del self._pending[place]
        slot.done()

    def let_go(self) -> None:
        """Finish all pending and later batches, in a random order."""
        with self._changed:
            self.held = False
            self._changed.notify_all()

    def submitted(self, slot: FakeSlot, levels: list[int]) -> None:
        with self._changed:
            self.batches.append(levels)
            self._pending.append(slot)
            self._changed.notify_all()

    def _finish_at_random(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: (self._pending and not self.held) or (self.closed and not self._pending))
                if not self._pending:
                    return
                self._pending.rotate(-int(self._random.integers(len(self._pending))))
                slot = self._pending.popleft()
            slot.done()


class FakeSlot:
    """A batch on the fake device."""

    def __init__(self, session: FakeSession) -> None:
        self._session = session
        self._requests: list[Request] | None = None
        self._finished = False

    def submit(self, requests: Sequence[Request], done: Callable[[], None]) -> None:
        assert self._requests is None, "a slot was filled again before it was collected"
        self._requests, self._done = list(requests), done
        self._session.submitted(self, [grey_level(request) for request in requests])

    def done(self) -> None:
        self._finished = True
        self._done()

    def collect(self) -> list[Float32Array]:
        assert self._requests is not None and self._finished, "collected before the device was done"
        requests, self._requests, self._finished = self._requests, None, False
        if self._session.failing & {grey_level(request) for request in requests}:
            raise RuntimeError("the device is gone")
        return [self._session.rows(request) for request in requests]

    def close(self) -> None:
        assert self._requests is None, "closed in flight"
        self._session.log.append("close")


class FakeSource:
    """A source of frames that a test feeds, or of `count` frames at once.

    Frame k shows ``image(k)``, without `image` the grey level k % 200. `fails` is raised after the last frame. With
    `hangs`, a read after the last frame returns when the test sets `answer`.
    """

    def __init__(
        self,
        count: int = 0,
        *,
        live: bool = False,
        hw: tuple[int, int] = (48, 64),
        name: str = "fake",
        rate_hz: int = 25,
        first: int = 0,
        fails: Exception | None = None,
        hangs: bool = False,
        ended: bool = True,
        image: Callable[[int], UInt8Array] | None = None,
    ) -> None:
        self.id, self.audio_from = name, None
        self.info = VideoInfo(hw[1], hw[0], Fraction(rate_hz), None if live else count, live)
        self.warnings: list[str] = []
        self.closed, self.read = False, 0
        self.answer = threading.Event()
        self._hw, self._rate_hz, self._fails, self._hangs, self._image = hw, rate_hz, fails, hangs, image
        self._changed = threading.Condition()
        self._frames = deque(range(first, first + count))
        self._next, self._ended = first + count, ended
        self._stopped = False

    def feed(self, count: int = 1) -> None:
        """Add `count` frames."""
        with self._changed:
            self._frames.extend(range(self._next, self._next + count))
            self._next += count
            self._changed.notify_all()

    def end(self) -> None:
        """End the source after the frames that were fed."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def keep_on_device(self, to_device: ToDevice | None) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        with self._changed:
            if self._ended and not self._frames and self._hangs:
                self._changed.release()
                self.answer.wait()
                self._changed.acquire()
            self._changed.wait_for(lambda: self._frames or self._ended or self._stopped)
            if self._stopped or not self._frames:
                if self._fails and not self._stopped:
                    raise self._fails
                raise StopIteration
            index = self._frames.popleft()
            self.read += 1
        frame = grey_frame(index, self._hw, self._rate_hz, self.id)
        return frame if self._image is None else replace(frame, image=self._image(index))

    def stop(self) -> None:
        self._stopped = True
        if not self._hangs:
            with self._changed:
                self._changed.notify_all()

    def close(self) -> bool:
        self.stop()
        self.closed = True
        return True


def grey_frame(index: int, hw: tuple[int, int] = (48, 64), rate_hz: int = 25, name: str = "fake") -> Frame:
    """Return a frame of the grey level `index` % 200."""
    image = np.full((*hw, 3), index % 200, np.uint8)
    return Frame(index, index, Fraction(1, rate_hz), image, name, time.monotonic())


def write_clip(path: Path, count: int, hw: tuple[int, int] = (48, 64), step: int = 1) -> Path:
    """Write a video of 25 Hz whose frame k has the grey level `step` * k % 256, and return its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = *hw, "yuv420p"
        for index in range(count):
            image = np.full((*hw, 3), step * index % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path
