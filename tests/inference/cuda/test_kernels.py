"""The fit of images and suppression on a device, against the host's."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamdet.boxes import Selection
from streamdet.inference.cuda.kernels import (
    CANDIDATES,
    ROUNDS,
    Limits,
    letterbox_on_device,
    packed,
    selected,
    suppressed,
)
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.types import Float32Array, UInt8Array
from streamdet.values import Suppression


def fitted(image: UInt8Array, letterbox: Letterbox) -> UInt8Array:
    """Return `image` as the device fits it, into a canvas that another image was in."""
    canvas = torch.full((*letterbox.input_hw, 3), 9, dtype=torch.uint8)
    letterbox_on_device(canvas, torch.from_numpy(image), letterbox)
    found: UInt8Array = canvas.numpy()
    return found


@pytest.mark.parametrize("image_hw", [(480, 640), (1080, 1920), (101, 333), (64, 64), (700, 90)])
@pytest.mark.parametrize("size", [640, 64, (256, 320)])
def test_the_input_is_that_of_the_host(image_hw: tuple[int, int], size: int | tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), np.uint8)
    letterbox = Letterbox.fit(image_hw, size, 32)
    assert np.abs(fitted(image, letterbox).astype(int) - letterboxed(image, letterbox)).max() <= 1


@pytest.mark.parametrize(
    ("image_hw", "size"),
    [((1080, 1920), 640), ((720, 1280), 640), ((2160, 3840), 640), ((480, 640), 640), ((1920, 1080), 960)],
)
def test_the_pictures_of_most_cameras_are_fitted_to_the_bit(image_hw: tuple[int, int], size: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*image_hw, 3), np.uint8)
    letterbox = Letterbox.fit(image_hw, size, 32)
    np.testing.assert_array_equal(fitted(image, letterbox), letterboxed(image, letterbox))


CLASS_COUNT = 3


def greedy(rows: Float32Array, select: Selection) -> list[int]:
    """Return the rows that are kept, best first, by the definition: one after the other."""
    fits = rows[:, 4] >= np.float32(select.conf)
    if select.class_ids is not None:
        fits &= np.isin(rows[:, 5], select.class_ids)
    order = [index for index in np.argsort(-rows[:, 4], kind="stable").tolist() if fits[index]]
    kept: list[int] = []
    for index in order:
        rivals = [other for other in kept if select.agnostic or rows[other, 5] == rows[index, 5]]
        if all(_iou(rows[other], rows[index]) <= np.float32(select.iou) for other in rivals):
            kept.append(index)
    return kept


def _iou(a: Float32Array, b: Float32Array) -> np.float32:
    extent = (np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2])).clip(0)
    common = extent.prod()
    union = (a[2:4] - a[:2]).prod() + (b[2:4] - b[:2]).prod() - common
    return np.float32(common / max(union, np.float32(1e-9)))


def random_rows(seed: int, images: int, count: int) -> Float32Array:
    """Return rows in clusters, with scores of a coarse grid, so that many are equal."""
    random = np.random.default_rng(seed)
    corner = random.integers(0, 4, (images, count, 2)) * 20 + random.normal(0, 4, (images, count, 2))
    boxes = np.concatenate([corner, corner + random.uniform(10, 30, (images, count, 2))], 2)
    scores, labels = (
        random.integers(0, 20, (images, count, 1)) / 20,
        random.integers(0, CLASS_COUNT, (images, count, 1)),
    )
    return np.concatenate([boxes, scores, labels], 2).astype(np.float32)


def found(rows: Any, *selects: Selection) -> list[Float32Array | None]:
    """Return what is found in the images of `rows` (B, A, 6), a selection for each."""
    limits = Limits.unpacked(torch.from_numpy(np.stack([packed(select, CLASS_COUNT) for select in selects])))
    candidates, state = suppressed(torch.as_tensor(rows), limits)
    return [selected(candidates[i].numpy(), state[i].numpy(), select) for i, select in enumerate(selects)]


selections = st.builds(
    Selection,
    conf=st.sampled_from([0.0, 0.1, 0.3, 0.55]),
    iou=st.sampled_from([0.2, 0.5, 0.7]),
    agnostic=st.booleans(),
    class_ids=st.sampled_from([None, (), (0,), (1, 2)]),
)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 120), selects=st.tuples(selections, selections, selections))
def test_each_image_is_suppressed_by_its_own_limits_as_the_greedy_loop_does(
    seed: int, count: int, selects: tuple[Selection, ...]
) -> None:
    rows = random_rows(seed, len(selects), count)
    for image, select, kept in zip(rows, selects, found(rows, *selects), strict=True):
        np.testing.assert_array_equal(kept, image[greedy(image, select)])


def test_a_long_chain_is_said_to_be_unsettled() -> None:
    """Each box overlaps the next only: whether the last is kept depends on all before it."""
    for length, settled in ((ROUNDS - 2, True), (4 * ROUNDS, False)):
        left = 4.0 * torch.arange(length)
        rows = torch.stack([left, left * 0, left + 10, left * 0 + 10, 0.9 - 0.01 * torch.arange(length), left * 0], 1)
        select = Selection(0.1, 0.4)
        _, state = suppressed(rows[None], Limits.unpacked(torch.from_numpy(packed(select, 1)[None])))
        assert bool(state[0, 1]) == settled
        (kept,) = found(rows[None], select)
        assert kept is not None
        assert len(kept) == (length + 1) // 2


def test_nothing_above_the_limit_is_nothing() -> None:
    (kept,) = found(torch.zeros(1, 50, 6), Selection(0.1, 0.5))
    assert kept is not None
    assert kept.shape == (0, 6)


def test_no_more_than_the_best_of_so_many_are_kept() -> None:
    left = 20.0 * torch.arange(9)
    rows = torch.stack([left, left * 0, left + 10, left * 0 + 10, 0.5 + 0.01 * torch.arange(9), left * 0], 1)
    (kept,) = found(rows[None], Selection(0.1, 0.5, max_det=4))
    assert kept is not None
    np.testing.assert_array_equal(kept, rows.flip(0)[:4])


def test_more_candidates_than_fit_are_not_known() -> None:
    rows = torch.zeros(1, CANDIDATES + 1, 6)
    rows[:, :, 4] = 0.5
    assert found(rows, Selection(0.1, 0.5)) == [None]


@pytest.mark.parametrize("nms", get_args(Suppression))
def test_each_kind_of_suppression_is_that_of_the_host(nms: Suppression) -> None:
    rows, select = random_rows(0, 1, 60), Selection(0.1, 0.4, nms=nms)
    (kept,) = found(rows, select)
    assert kept is not None
    np.testing.assert_array_equal(kept, select.kept(rows[0]))
