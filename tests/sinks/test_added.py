"""What tasks add to track files, read back by the tools that know these formats."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamdet.errors import InputError, MissingExtraError
from streamdet.masks import Masks
from streamdet.result import Result, tracks_table
from streamdet.rows import ImageClass
from streamdet.sinks.added import run_lengths
from streamdet.sinks.formats import TRACK_SINKS, open_track_sink
from tests.sinks.results import result
from tests.sinks.shaped import BOXES, HW, POINTS, ROTATED, classified, masks, shaped

coco_mask = pytest.importorskip("pycocotools.mask")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def write(path: Path, *results: Result) -> Path:
    with open_track_sink(path) as sink:
        for each in results:
            sink.write(each)
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


@given(
    image=st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(lambda hw: arrays(bool, hw)),
    before=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    after=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_run_lengths_are_those_of_pycocotools(image: Any, before: tuple[int, int], after: tuple[int, int]) -> None:
    whole = np.pad(image, tuple(zip(before, after, strict=True)))
    lengths = run_lengths(before[1], before[0], image, whole.shape)
    expected = coco_mask.encode(np.asfortranarray(whole.astype(np.uint8)))
    assert lengths == {"size": list(whole.shape), "counts": expected["counts"].decode()}


def test_json_lines_carry_masks_points_and_rotated_boxes(tmp_path: Path) -> None:
    (line,) = lines(write(tmp_path / "t.jsonl", shaped(masks=masks(), keypoints=POINTS, rotated=ROTATED)))
    tracks = line["tracks"]
    for track, row in zip(tracks, (1, 0, 2), strict=False):
        assert (coco_mask.decode(track["mask"]).astype(bool) == masks().to_image(row)).all()
        np.testing.assert_allclose(track["keypoints"], POINTS[row], atol=6e-3)
        np.testing.assert_allclose(track["rotated"], ROTATED[row], atol=1e-4)
    assert tracks[3]["mask"] is None
    assert list(tracks[0]) == [
        "id",
        "box",
        "score",
        "class_id",
        "class_name",
        "predicted",
        "mask",
        "keypoints",
        "rotated",
    ]


def test_json_lines_name_the_class_of_the_image_and_the_most_probable_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", classified(0, [0.1, 0.25, 0.65], ImageClass(1, "car", 0.51239)))
    assert lines(path) == [
        {
            "frame": 0,
            "time_s": 0.0,
            "tracks": [],
            "image_class": {"class_id": 1, "class_name": "car", "probability": 0.5124},
            "classes": [
                {"class_id": 2, "class_name": "dog", "probability": 0.65},
                {"class_id": 1, "class_name": "car", "probability": 0.25},
                {"class_id": 0, "class_name": "person", "probability": 0.1},
            ],
        }
    ]


@pytest.mark.parametrize("ending", [ending for ending in TRACK_SINKS if ending not in (".parquet", ".mots")])
def test_files_of_a_model_that_only_detects_are_as_before(tmp_path: Path, ending: str) -> None:
    text = write(tmp_path / f"t{ending}", result(0, [1, 2])).read_text()
    assert not any(
        word in text for word in ("mask", "keypoints", "rotated", "segmentation", "kp0", "angle", 'classes": [')
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_columns_for_points_and_angles(tmp_path: Path) -> None:
    rows = table(write(tmp_path / "t.csv", shaped(keypoints=POINTS, rotated=ROTATED)))
    names = list(rows[0])[11:]
    assert names == ["cx", "cy", "w", "h", "angle", *(f"kp{k}_{part}" for k in range(17) for part in "xyv")]
    for row, index in zip(rows, (1, 0, 2, 2), strict=True):
        expected = [*ROTATED[index], *POINTS[index].ravel()]
        np.testing.assert_allclose([float(row[name]) for name in names], expected, atol=6e-3)


def test_the_columns_are_there_although_the_first_frame_is_empty(tmp_path: Path) -> None:
    first = shaped(0, (), keypoints=np.zeros((3, 17, 3)))
    rows = table(write(tmp_path / "t.csv", first, shaped(1, (7,), keypoints=POINTS)))
    assert [(row["id"], row["kp16_x"]) for row in rows] == [("7", str(POINTS[1, 16, 0]))]


def test_parquet_and_data_frames_have_the_columns_of_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    results = [shaped(index, keypoints=POINTS, rotated=ROTATED) for index in range(2)]
    ours = pandas.read_parquet(write(tmp_path / "t.parquet", *results))
    theirs = pandas.read_csv(write(tmp_path / "t.csv", *results))
    frame = tracks_table(results)
    assert list(ours.columns) == list(theirs.columns) == list(frame.columns)
    assert str(ours["angle"].dtype) == "float32"
    for name in ("cx", "angle", "kp0_x", "kp16_v"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=6e-3)
        np.testing.assert_allclose(ours[name], frame[name])


def test_pycocotools_scores_masks_and_points_of_coco_results(tmp_path: Path) -> None:
    """The three objects as labels: all are found, the segments exactly; the hidden track counts as a mistake."""
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    path = write(tmp_path / "t.json", shaped(ids=(1, 2, 3), masks=masks(), keypoints=POINTS, rotated=ROTATED))
    truth = coco.COCO()
    sizes = BOXES[:, 2:] - BOXES[:, :2]
    truth.dataset = {
        "info": {},
        "images": [{"id": 1, "height": HW[0], "width": HW[1]}],
        "categories": [{"id": k, "keypoints": ["a"] * 17} for k in (1, 2, 3)],
        "annotations": [
            {
                "id": row + 1,
                "image_id": 1,
                "category_id": row + 1,
                "bbox": [*BOXES[row, :2].tolist(), *sizes[row].tolist()],
                "area": 2000.0,
                "iscrowd": 0,
                "segmentation": coco_mask.encode(np.asfortranarray(masks().to_image(row).astype(np.uint8))),
                "keypoints": np.column_stack([POINTS[row, :, :2], np.full(17, 2)]).ravel().tolist(),
                "num_keypoints": 17,
            }
            for row in range(3)
        ],
    }
    truth.createIndex()
    found = truth.loadRes(str(path))
    for kind in ("segm", "keypoints", "bbox"):
        evaluation = cocoeval.COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] == pytest.approx(1.0)
    values = json.loads(path.read_text())
    assert values[0]["rotated"] == pytest.approx(ROTATED[1].tolist(), abs=1e-2)
    hidden = json.loads(write(tmp_path / "h.json", shaped(masks=masks())).read_text())[3]
    assert coco_mask.area(hidden["segmentation"]) == 0


def test_mots_gives_each_pixel_to_the_object_of_the_highest_score(tmp_path: Path) -> None:
    rows = [line.split(" ") for line in write(tmp_path / "t.mots", shaped(4, masks=masks())).read_text().splitlines()]
    assert [row[:5] for row in rows] == [
        ["5", "1", "1", "90", "120"],
        ["5", "2", "2", "90", "120"],
        ["5", "3", "13", "90", "120"],
    ]
    decoded = [coco_mask.decode({"size": [int(row[3]), int(row[4])], "counts": row[5]}).astype(bool) for row in rows]
    person, car, dog = (masks().to_image(row) for row in (0, 1, 2))
    assert (decoded[0] == car).all()
    assert (decoded[2] == dog & ~car).all()
    assert (decoded[1] == person & ~car & ~dog).all()
    assert (person & car).any() and (car & dog).any()


def test_an_object_that_others_cover_and_a_frame_without_any_have_no_row(tmp_path: Path) -> None:
    same = Masks(np.full((3, 9, 12), 255, np.uint8), [BOXES[0]] * 3, [0, 0, 120, 90], HW)
    path = write(tmp_path / "t.mots", shaped(0, masks=same), shaped(1, (), masks=same), result(2, []))
    assert [line.split()[:2] for line in path.read_text().splitlines()] == [["1", "1"]]


def test_trackeval_scores_masks_of_their_own_truth_with_100(tmp_path: Path) -> None:
    trackeval = pytest.importorskip("trackeval")
    for folder in ("gt/S/gt", "tr/ours/data"):
        (tmp_path / folder).mkdir(parents=True)
    results = [shaped(index, (1, 2), ["pedestrian"] * 3, masks=masks()) for index in range(3)]
    rows = write(tmp_path / "S.mots", *results).read_text()
    (tmp_path / "gt/S/gt/gt.txt").write_text(rows)
    (tmp_path / "tr/ours/data/S.txt").write_text(rows)
    dataset = trackeval.datasets.MOTSChallenge(
        {
            "GT_FOLDER": str(tmp_path / "gt"),
            "TRACKERS_FOLDER": str(tmp_path / "tr"),
            "SEQ_INFO": {"S": 3},
            "SKIP_SPLIT_FOL": True,
            "PRINT_CONFIG": False,
        }
    )
    data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("ours", "S"), "pedestrian")
    scores = trackeval.metrics.HOTA().eval_sequence(data)
    assert scores["HOTA"].min() == pytest.approx(1.0)
    assert data["num_gt_dets"] == 6


def test_rows_of_mots_need_masks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a model with masks for rows of MOTS, found one without"):
        write(tmp_path / "t.mots", result(0, [1]))


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.mots"])
def test_masks_without_pycocotools_are_refused_in_a_sentence(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match=r"pycocotools.*train"):
        write(tmp_path / name, shaped(masks=masks()))
