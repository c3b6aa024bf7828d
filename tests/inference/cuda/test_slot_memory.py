"""The memory of slots: what is copied, what is kept, and what does not suffice."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamdet.errors import DeviceError
from streamdet.inference.cuda.runtime import Runtime
from streamdet.inference.session import Slot

from .fake_device import FakeRuntime
from .slots import INPUT_HW, counts, image, nothing, request, session


def slots(runtime: Runtime, batch: int, network: nn.Module | None = None) -> list[Slot]:
    return session(runtime, network).new_slots(INPUT_HW, batch)


def test_rows_outlive_the_next_frame() -> None:
    by = session(FakeRuntime(3))
    slot = by.new_slots(INPUT_HW, 1)[0]
    slot.submit([request(by, image(2))], nothing)
    rows = slot.collect()[0]
    slot.submit([request(by, image(0))], nothing)
    slot.collect()
    np.testing.assert_array_equal(rows[:, 0], [0, 10])


def test_a_request_that_was_collected_holds_no_memory() -> None:
    """Else an idle slot keeps pinned memory, and the images of a decoder."""
    runtime = FakeRuntime(5)
    by = session(runtime)
    slot: Any = by.new_slots(INPUT_HW, 1)[0]
    slot.submit([request(by, image(2))], nothing)
    slot.collect()
    assert slot._requests == ()


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
