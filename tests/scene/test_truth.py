"""Ground truth in the format of the MOTChallenge, read and scored like real sequences."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamdet.evaluate.mot import evaluate_mot
from streamdet.evaluate.sequences import read_ground_truth, sequence_property
from streamdet.scene.scene import Scene, parse_scene_url
from streamdet.scene.truth import SceneTruth, write_mot_truth


class Script:
    """Ten frames: a person walks, another is hidden, a third is tiny, a car passes."""

    frame_count, frame_rate, size = 10, Fraction(25, 2), (320, 240)

    def truth(self, index: int) -> SceneTruth:
        boxes = [
            [10 + index, 20, 30 + index, 80],
            [100, 20, 120, 80],
            [200, 20, 203, 27],
            [50 + 9 * index, 90, 150, 140],
        ]
        return SceneTruth(
            np.array([1, 2, 3, 4]),
            np.array([0, 0, 0, 2]),
            np.array(boxes, np.float32),
            np.array([1, 0.2, 1, 1], np.float32),
        )


def write_tracks(path: Path, scene: Script | Scene, rows: slice) -> Path:
    lines = []
    for index in range(scene.frame_count):
        truth = scene.truth(index)
        for identity, (x1, y1, x2, y2) in list(zip(truth.ids, truth.boxes.tolist(), strict=True))[rows]:
            lines.append(f"{index + 1},{identity},{x1},{y1},{x2 - x1},{y2 - y1},1,-1,-1,-1\n")
    path.write_text("".join(lines))
    return path


def test_the_rows_of_a_frame(tmp_path: Path) -> None:
    write_mot_truth(Script(), tmp_path / "S")
    lines = (tmp_path / "S" / "gt" / "gt.txt").read_text().splitlines()
    assert lines[4:8] == [
        "2,1,11.00,20.00,20.00,60.00,1,1,1.000",
        "2,2,100.00,20.00,20.00,60.00,0,8,0.200",
        "2,3,200.00,20.00,3.00,7.00,0,8,1.000",
        "2,4,59.00,90.00,91.00,50.00,0,8,1.000",
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_mot_truth(Script(), tmp_path / "S", class_ids=(0, 2))
    truth = read_ground_truth(tmp_path / "S")
    assert (truth.name, truth.length, truth.benchmark, len(truth.boxes)) == ("S", 10, "MOT17", 40)
    assert (truth.boxes.extra[:4, 0] == [1, 0, 0, 1]).all()
    seqinfo = tmp_path / "S" / "seqinfo.ini"
    found = [sequence_property(seqinfo, name) for name in ("name", "frameRate", "imWidth", "imHeight")]
    assert found == ["S", "12.5", "320", "240"]


@pytest.mark.parametrize(
    ("rows", "hota", "false_positives", "false_negatives"),
    [(slice(0, 1), 100, 0, 0), (slice(0, 4), 100, 0, 0), (slice(1, 4), 0, 0, 10)],
    ids=["the one", "all: what is not scored costs nothing", "all but the one"],
)
def test_tracks_are_scored_on_clear_people_alone(
    tmp_path: Path, rows: slice, hota: float, false_positives: int, false_negatives: int
) -> None:
    write_mot_truth(Script(), tmp_path / "S")
    scores = evaluate_mot(tmp_path / "S", write_tracks(tmp_path / "S.txt", Script(), rows)).combined
    assert (scores.hota, scores.false_positives, scores.false_negatives) == (hota, false_positives, false_negatives)


def test_a_rendered_street_scores_its_own_truth_with_100(tmp_path: Path) -> None:
    street = Scene(parse_scene_url("scene://street?seed=2&seconds=1&size=320x180"))
    write_mot_truth(street, tmp_path / "street")
    scores = evaluate_mot(tmp_path / "street", write_tracks(tmp_path / "street.txt", street, slice(None))).combined
    assert (scores.hota, scores.mota, scores.idf1, scores.id_switches) == (100, 100, 100, 0)
