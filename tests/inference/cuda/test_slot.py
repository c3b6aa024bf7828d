"""Two slots on a device that does everything late and in any order: whose rows are whose."""

import ast
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import streamdet.inference.cuda
from streamdet.errors import DeviceError
from streamdet.inference.cuda.candidates import CANDIDATES
from streamdet.inference.cuda.device import Device
from streamdet.inference.cuda.runtime import Runtime
from streamdet.inference.cuda.slot import DeviceSlot
from streamdet.inference.slots import Job
from streamdet.letterbox import Letterbox
from streamdet.nms import Selection
from streamdet.types import Float32Array, UInt8Array

from .fake_device import FakeRuntime

IMAGE_HW = (6, 8)
JOB = Job(IMAGE_HW, Letterbox.fit(IMAGE_HW, IMAGE_HW, 2), Selection(conf=0.5, iou=0.7), batch=4)


class Brightness(nn.Module):
    """Finds as many boxes as the image is bright, apart from each other; what is dark scores below the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        level = images[:, 0, 0, 0]
        number = torch.arange(40.0)
        boxes = torch.stack([10 * number, number * 0, 10 * number + 5, number * 0 + 5], 1)
        score = torch.where(number < level[:, None], 0.9, 0.1)
        return torch.cat([boxes.expand(len(level), -1, -1), score[:, :, None], score[:, :, None] * 0], 2)


def slots(runtime: Runtime, capacity: int, network: nn.Module | None = None) -> list[DeviceSlot]:
    computed: Any = network or Brightness()
    return Device(runtime, computed).new_slots(replace(JOB, batch=capacity))


def image(level: int) -> UInt8Array:
    return np.full((*IMAGE_HW, 3), level, np.uint8)


def counts(rows: list[Float32Array]) -> list[int]:
    return [len(found) for found in rows]


def double_buffered(runtime: FakeRuntime, levels: list[int], capacity: int) -> list[int]:
    """Return how many boxes are found in images of these levels, submitted as a detector does."""
    free, busy, found = deque(slots(runtime, capacity)), deque[DeviceSlot](), []
    for start in range(0, len(levels), capacity):
        slot = free.popleft()
        slot.submit([image(level) for level in levels[start : start + capacity]])
        busy.append(slot)
        if not free:
            free.append(busy.popleft())
            found += counts(free[-1].collect())
    for slot in busy:
        found += counts(slot.collect())
    return found


@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.lists(st.integers(0, 40), min_size=1, max_size=30),
    capacity=st.integers(1, 4),
)
def test_every_frame_gets_its_own_rows_whatever_finishes_first(seed: int, levels: list[int], capacity: int) -> None:
    assert double_buffered(FakeRuntime(seed), levels, capacity) == levels


def test_without_the_events_frames_are_confused() -> None:
    levels = list(range(1, 31))
    results = [double_buffered(FakeRuntime(seed, obeys_events=False), levels, 1) for seed in range(20)]
    assert any(found != levels for found in results)


def test_submit_does_not_wait() -> None:
    runtime = FakeRuntime(0)

    def refuse(event: object) -> None:
        raise AssertionError("waited for the device")

    first, second = slots(runtime, capacity=1)
    waits, runtime.wait_for = runtime.wait_for, refuse  # type: ignore[method-assign]
    first.submit([image(3)])
    second.submit([image(5)])
    runtime.wait_for = waits  # type: ignore[method-assign]
    assert counts(first.collect()) + counts(second.collect()) == [3, 5]


def test_collecting_one_slot_does_not_need_the_other() -> None:
    """The later slot is collected first: its own event is enough, since streams keep their order."""
    first, second = slots(FakeRuntime(1), capacity=1)
    first.submit([image(2)])
    second.submit([image(4)])
    assert counts(second.collect()) == [4]
    assert counts(first.collect()) == [2]


def test_a_batch_that_is_not_full_gives_only_its_own_frames() -> None:
    slot = slots(FakeRuntime(2), capacity=4)[0]
    for levels in ([1, 2, 3, 4], [7, 8]):
        slot.submit([image(level) for level in levels])
        assert counts(slot.collect()) == levels


def test_rows_outlive_the_next_frame() -> None:
    slot = slots(FakeRuntime(3), capacity=1)[0]
    slot.submit([image(2)])
    rows = slot.collect()[0]
    slot.submit([image(0)])
    slot.collect()
    np.testing.assert_array_equal(rows[:, 0], [0, 10])


def test_more_candidates_than_fit_come_back_as_all_rows() -> None:
    class Crowd(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            rows = torch.zeros(len(images), CANDIDATES + 500, 6)
            number = torch.arange(CANDIDATES + 500.0)
            rows[:, :, 4] = 0.9
            rows[:, :, 0] = 10 * number + images[:, :1, 0, 0]
            rows[:, :, 2] = rows[:, :, 0] + 5
            rows[:, :, 3] = 5
            return rows

    slot = slots(FakeRuntime(4), capacity=2, network=Crowd())[0]
    slot.submit([image(8), image(9)])
    assert [(len(rows), rows[0, 0]) for rows in slot.collect()] == [(300, 8), (300, 9)]


def test_work_is_captured_once_a_slot() -> None:
    runtime = FakeRuntime(5)
    double_buffered(runtime, list(range(10)), 1)
    assert runtime.captures == 2


def test_a_batch_that_is_not_full_is_computed_in_the_next_power_of_two() -> None:
    network = Brightness()
    slot = slots(FakeRuntime(6), capacity=6, network=network)[0]
    network.sizes.clear()
    for number in (1, 2, 3, 4, 5, 6):
        slot.submit([image(level) for level in range(number)])
        assert counts(slot.collect()) == list(range(number))
    assert network.sizes == [1, 2, 4, 4, 6, 6]


def test_an_image_in_pinned_memory_is_copied_from_where_it_lies() -> None:
    """What is written into it before the device has read it is what the device sees."""
    network: Any = Brightness()
    device = Device(FakeRuntime(7, hesitates=True), network)
    slot = device.new_slots(JOB)[0]
    pinned, ordinary = device.pinned(image(3)), image(4)
    slot.submit([pinned, ordinary, pinned[::-1]])
    pinned[:], ordinary[:] = 5, 6
    assert counts(slot.collect()) == [5, 4, 3]


def test_memory_that_does_not_suffice_is_one_sentence() -> None:
    class Large(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 TiB.")

    with pytest.raises(DeviceError, match="cpu lacks the memory to detect in batches of 8 at 6x8 px"):
        slots(FakeRuntime(8), capacity=8, network=Large())


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

    pair = slots(CudaRuntime(torch.device("cuda:0")), 3, OnDevice())
    for start in range(0, 30, 6):
        for slot, offset in zip(pair, (0, 3), strict=True):
            slot.submit([image(start + offset + k) for k in range(3)])
        assert [counts(slot.collect()) for slot in pair] == [
            [start + offset + k for k in range(3)] for offset in (0, 3)
        ]
