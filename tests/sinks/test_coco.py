"""COCO results, read back by pycocotools; and valid JSON whenever a run is stopped."""

import contextlib
import io
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamdet.files import resource
from streamdet.sinks.coco import category_ids
from streamdet.sinks.formats import open_track_sink
from tests.sinks.results import result, write

BOX = [10.13, 20.0, 20.37, 40.0]


def average_precision(truth: list[tuple[int, int]], results: Path) -> float:
    """Return the AP, at IoU 0.50 to 0.95, of `results` for boxes in (image id, category id) of `truth`."""
    coco, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    labels = coco.COCO()
    labels.dataset = {
        "images": [{"id": number} for number in (1, 2, 3)],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
        "annotations": [
            {"id": number, "image_id": image, "category_id": kind, "bbox": BOX, "area": 20.37 * 40, "iscrowd": 0}
            for number, (image, kind) in enumerate(truth, 1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        labels.createIndex()
        scored = evaluation.COCOeval(labels, labels.loadRes(str(results)), "bbox")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return float(scored.stats[0])


def test_pycocotools_finds_the_boxes(tmp_path: Path) -> None:
    results = write(tmp_path / "t.json")  # class 1 in frames 0, twice, and 2
    assert average_precision([(1, 2), (3, 2)], results) == pytest.approx(0.5 + 0.5 * 2 / 3, abs=0.01)
    # The first box is right and half of the objects are found: precision is 1 at 51 of 101 recalls.
    assert average_precision([(1, 2), (2, 2)], results) == pytest.approx(51 / 101)
    assert average_precision([(1, 1), (3, 1)], results) == 0


def test_a_box_has_the_fields_of_coco_and_its_track(tmp_path: Path) -> None:
    first = json.loads(write(tmp_path / "t.json").read_text())[0]
    assert first == {"image_id": 1, "category_id": 2, "bbox": BOX, "score": 0.8765, "track_id": 1}


def test_the_file_is_valid_after_every_frame(tmp_path: Path) -> None:
    counts = []
    with open_track_sink(tmp_path / "t.json") as sink:
        for index, ids in enumerate([[], [1], [], [1, 2], []]):
            sink.write(result(index, ids))
            counts.append(len(json.loads((tmp_path / "t.json").read_text())))
    assert counts == [0, 1, 1, 3, 3]
    assert len(json.loads((tmp_path / "t.json").read_text())) == 3


def test_a_run_without_results_leaves_an_empty_list(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.json"):
        pass
    assert json.loads((tmp_path / "t.json").read_text()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_what_goes_through_a_pipe_is_valid_too(tmp_path: Path) -> None:
    pipe, read = tmp_path / "t.json", list[Any]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.extend(json.loads(pipe.read_text())))
    reader.start()
    write(pipe)
    reader.join()
    assert [box["image_id"] for box in read] == [1, 1, 3]


def test_categories_are_those_of_coco_for_its_classes() -> None:
    names = yaml.safe_load(resource("configs/models/yolov8.yaml").read_text())["names"]
    numbers = category_ids(names)
    known = {"person": 1, "fire hydrant": 11, "stop sign": 13, "umbrella": 28, "toothbrush": 90}
    assert {name: numbers[names.index(name)] for name in known} == known
    assert list(category_ids(["person", "car"])) == [1, 2]
