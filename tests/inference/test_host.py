"""Slots on a host: when they are done, whose memory rows are in, what fails, and how the process ends meanwhile."""

import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamdet.boxes import Selection
from streamdet.errors import StreamdetError
from streamdet.inference import host
from streamdet.inference.host import ThreadSlot
from streamdet.inference.load import load_session
from streamdet.inference.session import Request, Session
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.types import Float32Array, Frame, UInt8Array

BACKENDS = ["torch", "onnx", "openvino"]
HW = (48, 96)
LETTERBOX = Letterbox.fit(HW, 96, 32)


def frame(seed: int) -> Frame:
    image = np.random.default_rng(seed).integers(0, 256, (*HW, 3), np.uint8)
    return Frame(seed, seed, Fraction(1, 25), image, "test", 0.0)


def request(session: Session, seed: int) -> Request:
    return Request(session.stage(frame(seed), LETTERBOX), LETTERBOX, Selection())


class Gate:
    """Computes an image only when it is let; its rows are the image's first pixel."""

    def __init__(self) -> None:
        self.open, self.begun = threading.Event(), list[int]()

    def __call__(self, image: UInt8Array) -> Callable[[], Float32Array]:
        self.begun.append(int(image[0, 0, 0]))
        return lambda: self._rows(image)

    def _rows(self, image: UInt8Array) -> Float32Array:
        assert self.open.wait(60)
        if image[0, 0, 0] == 13:
            raise RuntimeError("unlucky")
        return np.full((1, 6), image[0, 0, 0], np.float32)


def of(level: int) -> list[Request]:
    return [Request(np.full((2, 2, 3), level, np.uint8), LETTERBOX, Selection())]


def test_a_slot_begins_at_once_and_is_done_when_its_rows_are_there() -> None:
    gate, done = Gate(), threading.Event()
    slot = ThreadSlot(gate)
    slot.submit(of(7), done.set)
    assert gate.begun == [7]
    assert not done.is_set()
    gate.open.set()
    assert done.wait(60)
    assert slot.collect()[0][0, 0] == 7
    slot.close()


def test_a_failure_is_done_too_and_raised_where_rows_are_collected() -> None:
    gate, done = Gate(), list[threading.Event]()
    gate.open.set()
    slot = ThreadSlot(gate)
    for level in (13, 8):
        done.append(threading.Event())
        slot.submit(of(level), done[-1].set)
        assert done[-1].wait(60)
        if level == 13:
            with pytest.raises(RuntimeError, match="unlucky"):
                slot.collect()
    assert slot.collect()[0][0, 0] == 8
    slot.close()


def test_what_fails_at_the_start_is_done_too() -> None:
    def refuse(image: UInt8Array) -> Callable[[], Float32Array]:
        raise RuntimeError("no such shape")

    slot, done = ThreadSlot(refuse), threading.Event()
    slot.submit(of(1), done.set)
    assert done.wait(60)
    with pytest.raises(RuntimeError, match="no such shape"):
        slot.collect()
    slot.close()


def test_close_leaves_a_call_that_does_not_return_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "LONGEST_WAIT_S", 0.01)
    gate, done = Gate(), threading.Event()
    slot = ThreadSlot(gate)
    slot.submit(of(1), done.set)
    slot.close()
    assert not done.is_set()
    gate.open.set()
    assert done.wait(60)
    later = threading.Event()
    slot.collect()
    slot.submit(of(2), later.set)
    assert later.is_set()
    with pytest.raises(StreamdetError, match="found one that was closed"):
        slot.collect()


@pytest.mark.parametrize("name", BACKENDS)
def test_slots_compute_what_was_staged_and_all_its_rows(tiny_weights: Path, name: str) -> None:
    session = load_session(tiny_weights, device="cpu", backend=name)
    slots = session.new_slots(LETTERBOX.input_hw, 1)
    assert not session.selects
    assert len(slots) == session.parallel + (name == "openvino")
    for seed in range(2 * len(slots)):
        staged = request(session, seed)
        canvas = letterboxed(frame(seed).image, LETTERBOX)
        np.testing.assert_array_equal(staged.staged, canvas)
        done, slot = threading.Event(), slots[seed % len(slots)]
        slot.submit([staged], done.set)
        assert done.wait(60)
        (rows,) = slot.collect()
        np.testing.assert_allclose(rows[:, :5], session(canvas[None])[0, :, :5], atol=0.01)
    for slot in slots:
        slot.close()
    session.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_rows_outlive_the_next_image(tiny_weights: Path, name: str) -> None:
    session = load_session(tiny_weights, device="cpu", backend=name)
    slot = session.new_slots(LETTERBOX.input_hw, 1)[0]
    slot.submit([request(session, 0)], lambda: None)
    (rows,) = slot.collect()
    before = rows.copy()
    slot.submit([request(session, 1)], lambda: None)
    (others,) = slot.collect()
    np.testing.assert_array_equal(rows, before)
    assert (rows != others).any()
    slot.close()


# The process ends while images are computed: a thread that comes back to an interpreter that is torn down aborts it.
ENDED = """
import sys
from pathlib import Path
import numpy as np
from streamdet.inference.load import load_session
from streamdet.inference.session import Request

session = load_session(Path(sys.argv[1]), device="cpu", backend=sys.argv[2])
for slot in session.new_slots((320, 320), 1):
    slot.submit([Request(np.zeros((320, 320, 3), np.uint8), None, None)], lambda: None)
print("submitted")
"""

HUNG = """
import threading
import numpy as np
from streamdet.inference import host
from streamdet.inference.host import ThreadSlot
from streamdet.inference.session import Request

host.LONGEST_WAIT_S = 0.1
slot = ThreadSlot(lambda image: threading.Event().wait)
slot.submit([Request(np.zeros((2, 2, 3), np.uint8), None, None)], lambda: None)
print("submitted")
"""


def ended(script: str, *arguments: str) -> tuple[int, str, str]:
    run = subprocess.run([sys.executable, "-c", script, *arguments], timeout=100, capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize("name", BACKENDS)
def test_a_process_ends_well_while_images_are_computed(weights: Path, name: str) -> None:
    assert ended(ENDED, str(weights), name) == (0, "submitted\n", "")


def test_a_process_ends_though_a_call_never_returns() -> None:
    assert ended(HUNG) == (0, "submitted\n", "")
