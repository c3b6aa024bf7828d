"""Silhouettes: enlarged to the image, and chosen as rows are."""

import numpy as np
import pytest

from streamdet.masks import Masks, cell_windows
from streamdet.types import Detections


def masks(values: np.ndarray, boxes: list[list[float]], region: list[float], hw: tuple[int, int]) -> Masks:
    return Masks(values.astype(np.uint8), np.array(boxes, np.float32), np.array(region, np.float32), hw)


def test_a_cell_covers_its_part_of_the_image() -> None:
    """Two by three cells of 4 px each: the left column belongs to the object."""
    values = np.array([[[255, 0, 0], [255, 0, 0]]])
    whole = masks(values, [[0, 0, 12, 8]], [0, 0, 12, 8], (8, 12)).to_image(0)
    assert whole[:, :4].all()
    assert not whole[:, 4:].any()


def test_the_edge_is_soft_between_the_centres_of_two_cells() -> None:
    values = np.array([[[255, 0]]])
    patch = masks(values, [[0, 0, 8, 4]], [0, 0, 8, 4], (4, 8)).patch(0)
    # The centres lie at 2 and 6; pixel i at i + 0.5:  255 (6 - (i + 0.5)) / 4 between them.
    np.testing.assert_allclose(patch.values[0], [255, 255, 223, 159, 96, 32, 0, 0], atol=1)


def test_nothing_outside_of_the_box_belongs_to_the_object() -> None:
    full = masks(np.full((1, 4, 4), 255), [[2.5, 1, 5, 3]], [0, 0, 8, 8], (8, 8)).to_image(0)
    expected = np.zeros((8, 8), bool)
    expected[1:3, 2:5] = True
    np.testing.assert_array_equal(full, expected)


def test_cells_may_reach_beyond_the_image() -> None:
    """The letterbox of a wide image: four rows of cells of 4 px, of which the image covers the two in the middle."""
    values = np.zeros((1, 4, 4))
    values[0, 1] = 255
    image = masks(values, [[0, 0, 16, 8]], [0, -4, 16, 12], (8, 16)).to_image(0)
    expected = np.zeros((8, 16), bool)
    expected[:4] = True
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("image_px", [30, 100, 900])
def test_cells_outside_of_its_window_do_not_change_a_silhouette(image_px: int) -> None:
    """Cells smaller than a pixel, and larger ones."""
    rng = np.random.default_rng(0)
    region, hw = np.array([0, -7, image_px, image_px + 7], np.float32), (image_px, image_px)
    corners = np.sort(rng.uniform(0, image_px, (50, 2, 2)), axis=1)
    boxes = corners.reshape(50, 4).astype(np.float32)
    values = rng.integers(0, 256, (50, 40, 40))
    cropped = np.zeros_like(values)
    for row, (x1, y1, x2, y2) in enumerate(cell_windows(boxes, region, (40, 40)).tolist()):
        cropped[row, y1:y2, x1:x2] = values[row, y1:y2, x1:x2]
    whole, part = (masks(each, boxes.tolist(), region.tolist(), hw) for each in (values, cropped))
    assert (cropped == 0).mean() > 0.3
    for row in range(50):
        np.testing.assert_array_equal(part.patch(row).values, whole.patch(row).values)


def test_a_box_without_a_pixel_in_the_image_has_an_empty_silhouette() -> None:
    outside = masks(np.full((1, 2, 2), 255), [[20, 20, 30, 30]], [0, 0, 8, 8], (8, 8))
    assert outside.patch(0).values.size == 0
    assert not outside.to_image(0).any()


def test_columns_of_a_task_are_chosen_with_their_rows() -> None:
    boxes: list[list[float]] = [[0, 0, 4, 4], [4, 4, 8, 8]]
    values = np.stack([np.full((2, 2), 10), np.full((2, 2), 20)])
    found = Detections(
        boxes,
        [0.5, 0.9],
        [0, 1],
        ("cat", "dog"),
        masks=masks(values, boxes, [0, 0, 8, 8], (8, 8)),
        keypoints=np.arange(2 * 3 * 3).reshape(2, 3, 3),
    )
    dogs = found["dog"]
    assert dogs.masks is not None
    assert dogs.masks.values.tolist() == [[[20, 20], [20, 20]]]
    assert dogs.masks.boxes.tolist() == [[4, 4, 8, 8]]
    assert dogs.keypoints is not None
    assert dogs.keypoints[0, 0].tolist() == [9, 10, 11]
    assert dogs.rotated is None


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="rows differ: boxes has 1, scores has 1, class_ids has 1, rotated has 2"):
        Detections([[0, 0, 1, 1]], [0.5], [0], rotated=np.zeros((2, 5)))


def test_several_silhouettes_come_at_once_and_minus_one_is_nothing() -> None:
    masks = Masks(np.full((2, 3, 4), 255, np.uint8), [[0, 0, 2, 2], [1, 1, 4, 3]], [0, 0, 4, 3], (3, 4))
    images = masks.to_images([1, -1, 0])
    assert images.dtype == bool
    assert [image.sum() for image in images] == [6, 0, 4]
    assert (images[0] == masks.to_image(1)).all()
    assert masks.to_images([]).shape == (0, 3, 4)
