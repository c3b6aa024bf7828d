"""A camera that changes its resolution in mid-stream shows the same objects: ids and trails go on."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Detections, Frame, Tracks

FRAMES, CHANGE = 24, 12
TRACKERS = ("streamsort", "botsort", "bytetrack", "ocsort", "sort")


def walk(name: str, scales: tuple[float, float], every: int) -> tuple[list[Tracks], np.ndarray]:
    """Track two walkers, from `CHANGE` on in images whose sides are `scales` times as long; return a trail, too."""
    tracker = load_tracker(name, 25)
    texture = np.random.default_rng(0).integers(0, 256, (36, 64, 3), np.uint8)
    image = np.asarray(cv2.resize(texture, (640, 360), interpolation=cv2.INTER_CUBIC), np.uint8)
    found = []
    for index in range(FRAMES):
        x, y = scales if index >= CHANGE else (1.0, 1.0)
        boxes = [[100 + 4 * index, 100, 150 + 4 * index, 240], [500 - 4 * index, 120, 540 - 4 * index, 250]]
        picture = np.asarray(cv2.resize(image, (round(640 * x), round(360 * y))), np.uint8)
        frame = Frame(index, index, Fraction(1, 25), picture, "camera", 0.0)
        scaled = np.array(boxes, np.float32) * [x, y, x, y]
        if index % every:
            found.append(tracker.expect(frame))
        else:
            found.append(tracker.update(frame, Detections(scaled, [0.9, 0.9], [0, 0])))
    return found, np.array(next(iter(tracker.trails.values())))


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("scales", [(0.5, 0.5), (2.0, 2.0), (0.75, 0.75)])
@pytest.mark.parametrize("name", TRACKERS)
def test_ids_and_trails_go_on_in_pictures_of_another_size(name: str, scales: tuple[float, float], every: int) -> None:
    usual, trail = walk(name, (1.0, 1.0), every)
    found, scaled_trail = walk(name, scales, every)
    assert [each.ids.tolist() for each in found] == [each.ids.tolist() for each in usual]
    assert len(usual[-1]) == 2
    for tracks, expected in zip(found[CHANGE:], usual[CHANGE:], strict=True):
        np.testing.assert_allclose(tracks.boxes, expected.boxes * np.array([*scales, *scales]), atol=8)
    np.testing.assert_allclose(scaled_trail, trail * np.array(scales), atol=8)
