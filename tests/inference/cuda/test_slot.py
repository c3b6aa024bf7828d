"""Two slots on a device that does everything late and in any order: whose rows are whose."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import streamdet.inference.cuda
from streamdet.boxes import Selection
from streamdet.inference.cuda.kernels import CANDIDATES
from streamdet.inference.cuda.runtime import CudaRuntime
from streamdet.letterbox import Letterbox, letterboxed

from .fake_device import Event, FakeRuntime
from .slots import (
    CARD,
    INPUT_HW,
    SELECT,
    Brightness,
    Double,
    Texture,
    counts,
    double_buffered,
    image,
    nothing,
    request,
    session,
)


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
    by, random = session(CudaRuntime(torch.device("cuda:0")), Texture()), np.random.default_rng(0)
    images = [random.integers(0, 256, (*hw, 3), np.uint8) for hw in [(8, 12), (16, 24), (24, 36), (16, 12)]]
    selects = [Selection(0.1, 0.5), Selection(0.7, 0.5, class_ids=(1,)), Selection(0.3, 0.2, agnostic=True), SELECT]
    requests = [request(by, pixels, select) for pixels, select in zip(images, selects, strict=True)]
    alone = [Double(by, 1).run([each])[0] for each in requests]
    for rows, expected in zip(Double(by, 4).run(requests), alone, strict=True):
        np.testing.assert_array_equal(rows, expected)
    by.close()
