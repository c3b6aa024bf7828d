"""Pairing of labels and detections when model and data do not know the same classes."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from streamdet.data.spec import read_data_spec
from streamdet.errors import InputError, StreamdetError
from streamdet.evaluate.det_images import matched_classes, scored_images
from streamdet.types import Detections, Frame
from tests.data.pictures import write_set


def detect(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
    """A detector that finds its classes 0, 1 and 2, one beside the other."""
    for frame in frames:
        boxes = np.array([[0, 0, 8, 8], [8, 0, 16, 8], [16, 0, 24, 8]], np.float32)
        yield frame, Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 1, 2]))


def test_classes_are_matched_by_name() -> None:
    assert matched_classes(["cat", "dog", "bird"], ["bird", "fish", "cat"]).tolist() == [2, -1, 0]


def test_a_model_of_other_classes_is_refused() -> None:
    with pytest.raises(InputError, match=r"classes of the data \(cat\), found one that knows a, b, c, d, e, f, \.\.\."):
        matched_classes(["cat"], list("abcdefgh"))


def test_labels_and_detections_meet_in_the_classes_of_the_data(tmp_path: Path) -> None:
    write_set(tmp_path, {"whole/a.png": "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 1 1\n", "partly/b.png": None})
    (tmp_path / "data.yaml").write_text(
        "train: [images/whole, images/partly]\nnames: [cat, dog, bird]\nlabelled: {images/partly: [cat, dog]}"
    )
    spec = read_data_spec(tmp_path / "data.yaml")
    matched = matched_classes(spec.class_names, ["bird", "fish", "cat"])
    whole, partly = scored_images(spec.train, spec.class_names, matched, detect)
    assert whole.image_hw == (48, 64)
    assert whole.truth_class_ids.tolist() == [0, 1]
    np.testing.assert_allclose(whole.truth_boxes, [[16, 12, 48, 36], [0, 0, 64, 48]], atol=1e-4)
    assert whole.detections.class_ids.tolist() == [2, 0]
    assert whole.detections.boxes.tolist() == [[0, 0, 8, 8], [16, 0, 24, 8]]
    # The model does not know dogs; the second folder is not labelled for birds.
    assert whole.labelled == (True, False, True)
    assert partly.labelled == (True, False, False)


def test_an_image_that_vanished_is_named(tmp_path: Path) -> None:
    write_set(tmp_path, {"train/a.png": None})
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat]")
    spec = read_data_spec(tmp_path / "data.yaml")
    spec.train[0].image.unlink()
    with pytest.raises(StreamdetError, match=r"a\.png: expected an image"):
        list(scored_images(spec.train, spec.class_names, matched_classes(["cat"], ["cat"]), detect))
