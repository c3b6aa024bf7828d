"""Two slots on a device that does everything late and in any order: whose rows are whose."""

import ast
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import streamdet.inference.cuda
from streamdet.boxes import Selection
from streamdet.errors import DeviceError
from streamdet.inference.cuda.kernels import CANDIDATES
from streamdet.inference.cuda.runtime import Runtime
from streamdet.inference.cuda.session import CudaSession
from streamdet.inference.session import ModelCard, Request, Slot
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.types import Float32Array, Frame, UInt8Array

from .fake_device import Event, FakeRuntime

INPUT_HW = (8, 12)
SELECT = Selection(conf=0.5, iou=0.7)
CARD = ModelCard(("cat", "dog", "owl"), stride=2)


class Brightness(nn.Module):
    """Finds as many boxes as the image is bright, apart from each other; what is dark scores below the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        level = images[:, 4, 6, 0]
        number = torch.arange(40.0)
        boxes = torch.stack([10 * number, number * 0, 10 * number + 5, number * 0 + 5], 1)
        score = torch.where(number < level[:, None], 0.9, 0.1)
        return torch.cat([boxes.expand(len(level), -1, -1), score[:, :, None], score[:, :, None] * 0], 2)


class Texture(nn.Module):
    """Finds boxes, scores and classes that are the numbers of the pixels."""

    def forward(self, images: Tensor) -> Tensor:
        x, y, width, height, score, label = images.flatten(1).view(len(images), -1, 6).float().unbind(2)
        corner = x % 16, y % 16
        boxes = *corner, corner[0] + 4 + width % 16, corner[1] + 4 + height % 16
        return torch.stack([*boxes, score / 255, label % len(CARD.class_names)], 2)


def session(runtime: Runtime, network: nn.Module | None = None) -> CudaSession:
    return CudaSession(runtime, network or Brightness(), CARD)


def slots(runtime: Runtime, batch: int, network: nn.Module | None = None) -> list[Slot]:
    return session(runtime, network).new_slots(INPUT_HW, batch)


def image(level: int, hw: tuple[int, int] = (4, 6)) -> UInt8Array:
    return np.full((*hw, 3), level, np.uint8)


def request(by: CudaSession, pixels: UInt8Array, select: Selection = SELECT, *, on_device: bool = False) -> Request:
    letterbox = Letterbox.fit(pixels.shape[:2], INPUT_HW, CARD.stride)
    frame = Frame(0, 0, Fraction(1, 25), pixels, "test", 0.0, torch.from_numpy(pixels.copy()) if on_device else None)
    return Request(by.stage(frame, letterbox), letterbox, select)


def counts(rows: list[Float32Array]) -> list[int]:
    return [len(found) for found in rows]


def nothing() -> None: ...


@dataclass
class Double:
    """Two slots that are filled in turn, as a detector does; `found` are the rows of all requests, in order."""

    by: CudaSession
    batch: int

    def __post_init__(self) -> None:
        self._free, self._busy = deque(self.by.new_slots(INPUT_HW, self.batch)), deque[Slot]()
        self.found: list[Float32Array] = []

    def run(self, requests: Sequence[Request]) -> list[Float32Array]:
        for start in range(0, len(requests), self.batch):
            slot = self._free.popleft()
            slot.submit(requests[start : start + self.batch], nothing)
            self._busy.append(slot)
            if not self._free:
                self._collect()
        while self._busy:
            self._collect()
        return self.found

    def _collect(self) -> None:
        self._free.append(self._busy.popleft())
        self.found += self._free[-1].collect()


def double_buffered(runtime: FakeRuntime, levels: list[int], batch: int) -> list[int]:
    """Return how many boxes are found in images of these levels."""
    by = session(runtime)
    return counts(Double(by, batch).run([request(by, image(level)) for level in levels]))


@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.lists(st.integers(0, 40), min_size=1, max_size=30),
    batch=st.integers(1, 4),
)
def test_every_frame_gets_its_own_rows_whatever_finishes_first(seed: int, levels: list[int], batch: int) -> None:
    assert double_buffered(FakeRuntime(seed), levels, batch) == levels


def test_without_the_events_frames_are_confused() -> None:
    levels = list(range(1, 31))
    results = [double_buffered(FakeRuntime(seed, obeys_events=False), levels, 1) for seed in range(20)]
    assert any(found != levels for found in results)


pictures = st.tuples(
    st.integers(0, 2**32 - 1),
    # They shrink by whole numbers or not at all, which the device does as the host does, to the bit.
    st.sampled_from([(8, 12), (16, 24), (24, 36), (16, 12), (8, 24), (32, 48)]),
    st.booleans(),
)
selections = st.builds(
    Selection,
    conf=st.sampled_from([0.0, 0.1, 0.3, 0.7]),
    iou=st.sampled_from([0.1, 0.45, 0.7]),
    max_det=st.sampled_from([1, 5, 300]),
    agnostic=st.booleans(),
    class_ids=st.sampled_from([None, (0,), (1, 2), ()]),
)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 5),
    asked=st.lists(st.tuples(pictures, selections), min_size=1, max_size=14),
)
def test_requests_of_all_sizes_limits_and_classes_share_batches_and_get_what_they_get_alone(
    seed: int, batch: int, asked: list[tuple[tuple[int, tuple[int, int], bool], Selection]]
) -> None:
    network = Texture()
    by = session(FakeRuntime(seed), network)
    requests, expected = [], []
    for (noise, hw, on_device), select in asked:
        pixels = np.random.default_rng(noise).integers(0, 256, (*hw, 3), np.uint8)
        requests.append(request(by, pixels, select, on_device=on_device))
        canvas = letterboxed(pixels, Letterbox.fit(hw, INPUT_HW, CARD.stride))
        expected.append(select.kept(network(torch.from_numpy(canvas[None]))[0].numpy()))
    for rows, alone in zip(Double(by, batch).run(requests), expected, strict=True):
        np.testing.assert_array_equal(rows, alone)


def test_submit_does_not_wait() -> None:
    runtime = FakeRuntime(0)
    by = session(runtime)

    def refuse(event: object) -> None:
        raise AssertionError("waited for the device")

    first, second = by.new_slots(INPUT_HW, 1)
    waits, runtime.wait_for = runtime.wait_for, refuse  # type: ignore[method-assign]
    first.submit([request(by, image(3))], nothing)
    second.submit([request(by, image(5))], nothing)
    runtime.wait_for = waits  # type: ignore[method-assign]
    assert counts(first.collect()) + counts(second.collect()) == [3, 5]


def test_collecting_one_slot_does_not_need_the_other() -> None:
    """The later slot is collected first: its own event is enough, since streams keep their order."""
    by = session(FakeRuntime(1))
    first, second = by.new_slots(INPUT_HW, 1)
    first.submit([request(by, image(2))], nothing)
    second.submit([request(by, image(4))], nothing)
    assert counts(second.collect()) == [4]
    assert counts(first.collect()) == [2]


def test_a_batch_that_is_not_full_gives_only_its_own_frames() -> None:
    by = session(FakeRuntime(2))
    slot = by.new_slots(INPUT_HW, 4)[0]
    for levels in ([1, 2, 3, 4], [7, 8]):
        slot.submit([request(by, image(level)) for level in levels], nothing)
        assert counts(slot.collect()) == levels


def test_rows_outlive_the_next_frame() -> None:
    by = session(FakeRuntime(3))
    slot = by.new_slots(INPUT_HW, 1)[0]
    slot.submit([request(by, image(2))], nothing)
    rows = slot.collect()[0]
    slot.submit([request(by, image(0))], nothing)
    slot.collect()
    np.testing.assert_array_equal(rows[:, 0], [0, 10])


def test_done_is_called_once_and_not_before_the_rows_are_there() -> None:
    runtime, calls = FakeRuntime(4, hesitates=True), list[str]()
    by = session(runtime)
    first, second = by.new_slots(INPUT_HW, 2)
    first.submit([request(by, image(2)), request(by, image(3))], lambda: calls.append("first"))
    second.submit([request(by, image(4))], lambda: calls.append("second"))
    assert calls == []
    runtime.finish()
    assert sorted(calls) == ["first", "second"]

    def refuse(event: Event) -> None:
        assert event.happened == event.recorded, "collect had to wait"

    runtime.wait_for = refuse  # type: ignore[method-assign]
    assert counts(first.collect()) + counts(second.collect()) == [2, 3, 4]
    assert len(calls) == 2


def test_a_request_that_was_collected_holds_no_memory() -> None:
    """Else an idle slot keeps pinned memory, and the images of a decoder."""
    runtime = FakeRuntime(5)
    by = session(runtime)
    slot: Any = by.new_slots(INPUT_HW, 1)[0]
    slot.submit([request(by, image(2))], nothing)
    slot.collect()
    assert slot._requests == ()


def test_more_candidates_than_fit_come_back_as_all_rows() -> None:
    class Crowd(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            rows = torch.zeros(len(images), CANDIDATES + 500, 6)
            number = torch.arange(CANDIDATES + 500.0)
            rows[:, :, 4] = 0.9
            rows[:, :, 0] = 10 * number + images[:, 4, 6, :1]
            rows[:, :, 2] = rows[:, :, 0] + 5
            rows[:, :, 3] = 5
            return rows

    by = session(FakeRuntime(4), Crowd())
    slot = by.new_slots(INPUT_HW, 2)[0]
    slot.submit([request(by, image(8)), request(by, image(9))], nothing)
    assert [(len(rows), rows[0, 0]) for rows in slot.collect()] == [(300, 8), (300, 9)]


def test_work_is_captured_once_a_slot() -> None:
    runtime = FakeRuntime(5)
    double_buffered(runtime, list(range(10)), 1)
    assert runtime.captures == 2


def test_a_batch_that_is_not_full_is_computed_in_the_next_power_of_two() -> None:
    network = Brightness()
    by = session(FakeRuntime(6), network)
    slot = by.new_slots(INPUT_HW, 6)[0]
    network.sizes.clear()
    for number in (1, 2, 3, 4, 5, 6):
        slot.submit([request(by, image(level)) for level in range(number)], nothing)
        assert counts(slot.collect()) == list(range(number))
    assert network.sizes == [1, 2, 4, 4, 6, 6]


def test_a_frame_is_copied_when_it_is_staged() -> None:
    """Into pinned memory, from which the device may copy later: the frame's own memory may be written again."""
    runtime = FakeRuntime(7, hesitates=True)
    by = session(runtime)
    slot = by.new_slots(INPUT_HW, 1)[0]
    ordinary = image(3)
    staged = request(by, ordinary)
    slot.submit([staged], nothing)
    ordinary[:] = 5
    assert any(staged.staged.image is pinned for pinned in runtime.pinned_memory)
    assert counts(slot.collect()) == [3]


def test_memory_that_does_not_suffice_is_one_sentence() -> None:
    class Large(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 TiB.")

    with pytest.raises(DeviceError, match="cpu lacks the memory to detect in batches of 8 at 8x12 px"):
        slots(FakeRuntime(8), batch=8, network=Large())


def test_memory_that_does_not_suffice_in_flight_is_told_by_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the slot goes on with what fits."""
    runtime, calls = FakeRuntime(9), list[int]()
    by = session(runtime)
    slot = by.new_slots(INPUT_HW, 2)[0]

    def refuse(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 TiB.")

    with monkeypatch.context() as patch:
        patch.setattr(runtime, "on_device", refuse)
        slot.submit([request(by, image(1, hw=(16, 24)))], lambda: calls.append(1))
        runtime.finish()
        assert calls == [1]
        with pytest.raises(DeviceError, match="cpu lacks the memory to detect in batches of 2 at 8x12 px"):
            slot.collect()
    slot.submit([request(by, image(6)), request(by, image(7))], nothing)
    assert counts(slot.collect()) == [6, 7]


WAITING = {"synchronize", "item", "cpu", "tolist", "nonzero", "current_blas_handle"}


def waiting_calls(source: str) -> list[str]:
    """Return the calls in `source` that wait for a device: by name, or a host number made of a tensor."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in WAITING]


def test_only_one_place_waits_and_that_for_an_event() -> None:
    folder = Path(streamdet.inference.cuda.__path__[0])
    waits = {file.name: waiting_calls(file.read_text()) for file in folder.glob("*.py")}
    assert {name: calls for name, calls in waits.items() if calls} == {"runtime.py": ["synchronize"]}
    assert waiting_calls("torch.cuda.synchronize(); x.sum().item(); y.cpu()") == ["synchronize", "item", "cpu"]


@pytest.mark.gpu
def test_a_real_device_gives_every_frame_its_own_rows() -> None:
    from streamdet.inference.cuda.runtime import CudaRuntime

    class OnDevice(Brightness):
        def forward(self, images: Tensor) -> Tensor:
            with torch.device(images.device):
                return super().forward(images)

    by = session(CudaRuntime(torch.device("cuda:0")), OnDevice())
    pair, calls = by.new_slots(INPUT_HW, 3), list[int]()
    for start in range(0, 30, 6):
        for slot, offset in zip(pair, (0, 3), strict=True):
            slot.submit([request(by, image(start + offset + k)) for k in range(3)], lambda: calls.append(1))
        assert [counts(slot.collect()) for slot in pair] == [
            [start + offset + k for k in range(3)] for offset in (0, 3)
        ]
    by.close()


@pytest.mark.gpu
def test_a_real_device_shares_a_batch_among_sizes_and_limits() -> None:
    from streamdet.inference.cuda.runtime import CudaRuntime

    by, random = session(CudaRuntime(torch.device("cuda:0")), Texture()), np.random.default_rng(0)
    images = [random.integers(0, 256, (*hw, 3), np.uint8) for hw in [(8, 12), (16, 24), (24, 36), (16, 12)]]
    selects = [Selection(0.1, 0.5), Selection(0.7, 0.5, class_ids=(1,)), Selection(0.3, 0.2, agnostic=True), SELECT]
    requests = [request(by, pixels, select) for pixels, select in zip(images, selects, strict=True)]
    alone = [Double(by, 1).run([each])[0] for each in requests]
    for rows, expected in zip(Double(by, 4).run(requests), alone, strict=True):
        np.testing.assert_array_equal(rows, expected)
    by.close()
