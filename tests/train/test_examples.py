from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from streamdet.data.dataset import LabelledImage
from streamdet.errors import InputError
from streamdet.train.config import TrainConfig
from streamdet.train.examples import Draw, Drawn, Examples, Order, collate, load

from .rectangles import coloured, painted, write_data_set
from .small_training import STILL

SIZE_PX = 64
PLAIN = TrainConfig(epochs=10, batch=2, imgsz=SIZE_PX, close_mosaic=0).model_copy(update=STILL)
LIVELY = TrainConfig(epochs=10, imgsz=SIZE_PX, close_mosaic=2, mixup=0.5, cutmix=0.5, cutout=0.5, degrees=10)


def changed(**changes: object) -> TrainConfig:
    return PLAIN.model_copy(update=changes)


def filled(folder: Path, class_id: int, count: int, labelled: tuple[bool, ...]) -> list[LabelledImage]:
    """Write images that one object fills to the edge, so that every pixel tells whose it is."""
    images = []
    for index in range(count):
        path = folder / f"{class_id}-{index}.png"
        example = painted((SIZE_PX, SIZE_PX), [(0, 0, SIZE_PX, SIZE_PX)], first=class_id)
        cv2.imwrite(str(path), example.image[:, :, ::-1])
        path.with_suffix(".txt").write_text(f"{class_id} 0.5 0.5 1 1\n")
        images.append(LabelledImage(path, path.with_suffix(".txt"), labelled))
    return images


def assert_same(first: Drawn, second: Drawn) -> None:
    (a, mask_a), (b, mask_b) = first, second
    for name in ("image", "class_ids", "boxes"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert mask_a == mask_b


# The order of an epoch.

sizes = st.integers(1, 60), st.integers(1, 8), st.integers(1, 4)


def places(order: Order) -> list[Draw]:
    return [draw for batch in order for draw in batch]


@settings(max_examples=60)
@given(*sizes, st.integers(0, 99))
def test_ranks_share_a_permutation(images: int, batch: int, world: int, epoch: int) -> None:
    ranks = [Order(images, batch, seed=3, epoch=epoch, rank=rank, world=world) for rank in range(world)]
    drawn = [draw for order in ranks for draw in places(order)]
    # Every process has as many full batches, and nobody has the place of another.
    assert {len(b) for order in ranks for b in order} == {batch}
    assert {len(list(order)) for order in ranks} == {len(ranks[0])}
    assert sorted(draw.place for draw in drawn) == list(range(len(drawn)))
    counts = np.bincount([draw.image for draw in drawn], minlength=images)
    if images >= batch * world:
        assert counts.max() == 1  # no image twice, and less than a round is left out
        assert (counts == 0).sum() == images % (batch * world)
    else:
        assert counts.min() >= batch * world // images  # drawn from again, evenly
        assert np.ptp(counts) <= 1


@given(*sizes, st.integers(0, 30))
def test_a_resumed_order_goes_on(images: int, batch: int, world: int, first: int) -> None:
    whole = Order(images, batch, 0, 5, world=world)
    rest = Order(images, batch, 0, 5, first, world=world)
    assert list(rest) == list(whole)[first:]
    assert len(rest) == len(whole)


def test_one_process_draws_what_several_draw_together() -> None:
    alone = sorted(places(Order(24, 6, 1, 2)))
    both = sorted(places(Order(24, 3, 1, 2, rank=0, world=2)) + places(Order(24, 3, 1, 2, rank=1, world=2)))
    assert alone == both


def test_seed_and_epoch_decide_the_order() -> None:
    images = [[draw.image for draw in places(Order(50, 5, *which))] for which in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert images[0] == images[1]
    assert images[0] != images[2]
    assert images[0] != images[3]
    assert sorted(images[2]) == list(range(50))


# What is drawn.


def test_without_change_it_is_the_image_with_its_labels(tmp_path: Path) -> None:
    data = write_data_set(tmp_path, 3)
    example, labelled = Examples(data.train, PLAIN)[Draw(0, 0, 1)]
    original = load(data.train[1])
    np.testing.assert_array_equal(example.image, original.image)
    np.testing.assert_allclose(example.boxes, original.boxes, atol=1e-3)
    assert (example.class_ids.tolist(), labelled) == ([1], (True, True))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_draw_is_the_same_in_every_worker(tmp_path: Path, workers: int) -> None:
    data = write_data_set(tmp_path, 6)
    examples = Examples(data.train, LIVELY)
    order = Order(6, 2, seed=LIVELY.seed, epoch=1)
    loader = DataLoader(examples, batch_sampler=order, num_workers=workers, collate_fn=list)
    drawn = [pair for batch in loader for pair in batch]
    assert len(drawn) == 6
    for draw, pair in zip(places(order), drawn, strict=True):
        assert_same(pair, Examples(data.train, LIVELY)[draw])


def test_a_kept_image_is_decoded_once_and_gives_the_same_draws(tmp_path: Path) -> None:
    data = write_data_set(tmp_path, 4)
    draws = [Draw(epoch, place, place) for epoch in range(2) for place in range(4)]
    expected = [Examples(data.train, LIVELY)[draw] for draw in draws]
    kept = Examples(data.train, LIVELY.model_copy(update={"cache": True}))
    for draw in draws:
        kept[draw]
    for image in data.train:
        image.image.unlink()
    for draw, drawn in zip(draws, expected, strict=True):
        assert_same(kept[draw], drawn)


@pytest.mark.parametrize("other", [Draw(2, 4, 0), Draw(1, 5, 0)], ids=["epoch", "place"])
def test_every_draw_is_another(tmp_path: Path, other: Draw) -> None:
    examples = Examples(write_data_set(tmp_path, 1).train, LIVELY)
    assert (examples[Draw(1, 4, 0)][0].image != examples[other][0].image).any()


@pytest.mark.parametrize("join", ["mosaic", "mixup", "cutmix"])
def test_only_images_labelled_for_as_much_are_joined(tmp_path: Path, join: str) -> None:
    # What the first are not labelled for, the last two kinds must not hide from the loss.
    red = filled(tmp_path, 0, 2, (True, True, False))
    green = filled(tmp_path, 1, 2, (True, True, False))
    blue = filled(tmp_path, 2, 2, (True, False, True))
    examples = Examples([*red, *green, *blue], changed(**{join: 1.0}))
    shown = np.zeros((3, 3), np.bool_)  # by the kind that is drawn and the kind that is seen
    for place in range(12):
        for kind in range(3):
            example, labelled = examples[Draw(0, place, 2 * kind)]
            assert labelled == (red, green, blue)[kind][0].labelled
            pixels = example.image.reshape(-1, 3)
            shown[kind] |= [(pixels[:, channel] > 100).any() for channel in range(3)]
    assert shown.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_objects_of_unlabelled_classes_are_left_out(tmp_path: Path) -> None:
    partly = filled(tmp_path, 0, 1, (True, False))
    more = filled(tmp_path, 1, 6, (True, True))
    examples = Examples([*partly, *more], changed(mosaic=1.0))
    drawn = [examples[Draw(0, place, 0)] for place in range(8)]
    assert any(coloured(example.image, 1).any() for example, _ in drawn)  # green partners show,
    assert {int(class_id) for example, _ in drawn for class_id in example.class_ids} == {0}  # and are not asked for
    assert {labelled for _, labelled in drawn} == {(True, False)}
    assert {int(class_id) for place in range(8) for class_id in examples[Draw(0, place, 1)][0].class_ids} == {1}


def test_the_last_epochs_are_without_mosaic(tmp_path: Path) -> None:
    images = [image for kind in range(2) for image in filled(tmp_path, kind, 3, (True, True))]
    examples = Examples(images, changed(mosaic=1.0, close_mosaic=3))
    whole = painted((SIZE_PX, SIZE_PX), [(0, 0, SIZE_PX, SIZE_PX)]).image
    plain = [[(examples[Draw(epoch, place, 0)][0].image == whole).all() for place in range(8)] for epoch in range(10)]
    assert [all(epoch) for epoch in plain] == [False] * 7 + [True] * 3


def test_probabilities_are_those_of_the_settings(tmp_path: Path) -> None:
    examples = Examples(filled(tmp_path, 0, 1, (True,)), changed(cutout=0.3))
    touched = [(examples[Draw(0, place, 0)][0].image[..., 0] < 255).any() for place in range(200)]
    assert np.mean(touched) == pytest.approx(0.3, abs=0.08)


# Files and batches.


def test_loading_scales_labels_to_the_image(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), np.zeros((50, 200, 3), np.uint8))
    path.with_suffix(".txt").write_text("1 0.5 0.5 0.2 0.4\n")
    example = load(LabelledImage(path, path.with_suffix(".txt"), (True, True)))
    np.testing.assert_allclose(example.boxes, [(80, 15, 120, 35)], rtol=1e-6)
    assert load(LabelledImage(path, tmp_path / "none.txt", (True, True))).boxes.shape == (0, 4)


def test_colours_are_rgb(tmp_path: Path) -> None:
    (image,) = filled(tmp_path, 0, 1, (True,))
    assert load(image).image[0, 0].tolist() == [255, 0, 0]


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken.jpg: expected an image, but it cannot be decoded"):
        load(LabelledImage(path, path.with_suffix(".txt"), (True,)))


def test_a_batch_joins_images_and_objects() -> None:
    examples = [painted((8, 8), [(0, 0, 4, 4), (4, 4, 8, 8)]), painted((8, 8), []), painted((8, 8), [(1, 2, 3, 4)], 1)]
    masks = [(True, False), (False, True), (True, True)]
    images, targets = collate(list(zip(examples, masks, strict=True)))
    assert (images.shape, images.dtype) == ((3, 3, 8, 8), torch.uint8)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[0, :, 6, 6].tolist() == [0, 255, 0]
    assert targets.image_index.tolist() == [0, 0, 2]
    assert targets.class_ids.tolist() == [0, 1, 1]
    assert targets.boxes.tolist() == [[0, 0, 4, 4], [4, 4, 8, 8], [1, 2, 3, 4]]
    assert targets.labelled.tolist() == [list(mask) for mask in masks]


def test_a_batch_without_objects() -> None:
    _, targets = collate([(painted((8, 8), []), (True,))] * 2)
    assert (targets.boxes.shape, targets.class_ids.shape, targets.image_index.shape) == ((0, 4), (0,), (0,))
