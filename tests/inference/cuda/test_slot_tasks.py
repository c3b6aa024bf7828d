"""Slots of a device for models that find more than boxes: further columns, prototypes, probabilities."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamdet.boxes import ROTATED, Selection
from streamdet.inference.cuda.kernels import CANDIDATES, letterbox_on_device
from streamdet.inference.cuda.session import CudaSession
from streamdet.inference.session import Found, ModelCard
from streamdet.letterbox import CenterCrop, letterboxed

from .fake_device import FakeRuntime
from .slots import CARD, INPUT_HW, Brightness, Double, image, nothing, request

LEVELS = [3, 7, 1, 5, 9, 2]


class Marked(nn.Module):
    """Finds the boxes of `Brightness` with two more columns: the number of the box, and the brightness of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = Brightness()

    def forward(self, images: Tensor) -> Tensor:
        rows: Tensor = self.boxes(images)
        number = torch.arange(40.0).expand(len(rows), -1)
        level = images[:, 4, 6, :1].expand(-1, 40)
        return torch.cat([rows, number[:, :, None], level[:, :, None].float()], 2)


class Segmenting(Marked):
    """Finds the same, and prototypes that are as bright as the image."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(images), images[:, None, 4:6, 6:9, 0].float().repeat(1, 2, 1, 1)


class Crowded(nn.Module):
    """Finds `count` boxes: two crossing rectangles, over and over."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, images: Tensor) -> Tensor:
        rows = torch.tensor([[0.0, 54, 120, 66, 0.9, 0, 0.0]]).repeat(self.count, 1)
        rows[1::2, 6] = math.pi / 2
        return rows.expand(len(images), -1, -1)


class Classifying(nn.Module):
    """Is as sure of the first class as the image is bright."""

    def forward(self, images: Tensor) -> Tensor:
        level = images[:, 4, 6, 0].float() / 255
        return torch.stack([level, 1 - level, level * 0], 1)


def session_for(network: nn.Module, **properties: object) -> CudaSession:
    card = ModelCard(CARD.class_names, CARD.stride, **properties)  # type: ignore[arg-type]
    return CudaSession(FakeRuntime(0), network, card)


@pytest.mark.parametrize("batch", [1, 4])
def test_rows_keep_the_columns_of_their_task(batch: int) -> None:
    by = session_for(Marked(), task="pose", kpt_shape=(1, 2))
    for level, rows in zip(LEVELS, Double(by, batch).run([request(by, image(n)) for n in LEVELS]), strict=True):
        assert rows[:, 6:].tolist() == [[number, level] for number in range(level)]


@pytest.mark.parametrize("batch", [1, 4])
def test_every_image_gets_its_own_prototypes_which_outlive_the_next(batch: int) -> None:
    by = session_for(Segmenting(), task="segment", layout="prototypes")
    found = Double(by, batch).run([request(by, image(level)) for level in LEVELS])
    for level, output in zip(LEVELS, found, strict=True):
        assert isinstance(output, Found)
        assert output.rows.shape == (level, 8)
        assert output.prototypes.tolist() == np.full((2, 2, 3), level).tolist()


def test_a_classifier_gives_its_probabilities_whatever_is_selected() -> None:
    by = session_for(Classifying(), task="classify", layout="probabilities")
    found = Double(by, 4).run([request(by, image(level), Selection(conf=1.0)) for level in LEVELS])
    np.testing.assert_allclose(found, [[n / 255, 1 - n / 255, 0] for n in LEVELS], atol=1e-6)
    called = by(np.full((2, *INPUT_HW, 3), 51, np.uint8))
    np.testing.assert_allclose(called, [[0.2, 0.8, 0]] * 2, atol=1e-6)


@pytest.mark.parametrize("agnostic", [False, True])
def test_turned_boxes_are_compared_as_such_on_the_device_and_on_the_host(agnostic: bool) -> None:
    select = Selection(conf=0.5, iou=0.5, agnostic=agnostic)
    for network in (Crowded(6), Crowded(CANDIDATES + 100)):  # the second is left to the host
        by = session_for(network, task="obb")
        slot = by.new_slots(INPUT_HW, 1)[0]
        slot.submit([request(by, image(1), select)], nothing)
        (rows,) = slot.collect()
        assert rows[:, 6].tolist() == pytest.approx([0, math.pi / 2])
        np.testing.assert_array_equal(rows, select.kept(network(torch.zeros(1, *INPUT_HW, 3))[0].numpy(), ROTATED))


def test_a_device_crops_as_the_host_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 100, 3), np.uint8)
    crop = CenterCrop.fit(pixels.shape[:2], 32, 32)
    canvas = torch.zeros(32, 32, 3, dtype=torch.uint8)
    letterbox_on_device(canvas, torch.from_numpy(pixels), crop)
    difference = canvas.numpy().astype(int) - letterboxed(pixels, crop)
    assert np.abs(difference).max() <= 1
