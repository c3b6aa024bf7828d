"""MOT rows."""

from pathlib import Path

import pytest

from streamdet.errors import InputError
from streamdet.options import TrackOptions
from streamdet.sinks.formats import open_track_sink
from tests.sinks.results import result, write

NAMES = ["person", "Car", "motorcycle", "bicycle", "dog"]


def test_frames_count_from_one(tmp_path: Path) -> None:
    assert write(tmp_path / "t.txt").read_text().splitlines() == [
        "1,1,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
        "1,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
        "3,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1",
    ]


def test_standard_output_gets_rows_of_mot(capfd: pytest.CaptureFixture[str]) -> None:
    write(Path("-"))
    assert capfd.readouterr().out.splitlines()[-1] == "3,2,10.13,20.00,20.37,40.00,0.8765,-1,-1,-1"


def test_classes_have_the_numbers_of_mot17(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.txt", mot_classes=True) as sink:
        for class_id in range(len(NAMES)):
            sink.write(result(class_id, [1], class_id=class_id, names=NAMES))
    ends = [line.split(",")[7:] for line in (tmp_path / "t.txt").read_text().splitlines()]
    assert ends == [[number, "-1", "-1"] for number in ("1", "3", "5", "4", "-1")]


@pytest.mark.parametrize(("mot_classes", "class_id"), [(False, 0), (False, 1), (True, 0), (True, 1)])
def test_trackeval_reads_the_file_and_refuses_other_classes_than_pedestrians(
    tmp_path: Path, mot_classes: bool, class_id: int
) -> None:
    trackeval = pytest.importorskip("trackeval")
    for folder in ("gt/S/gt", "tr/ours/data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "gt/S/gt/gt.txt").write_text("1,7,10.13,20,20.37,40,1,1,1\n2,7,10.13,20,20.37,40,1,1,1\n")
    with open_track_sink(tmp_path / "tr/ours/data/S.txt", mot_classes=mot_classes) as sink:
        sink.write(result(0, [3], class_id=class_id, names=NAMES))
        sink.write(result(1, [], class_id=class_id, names=NAMES))
    dataset = trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(tmp_path / "gt"),
            "TRACKERS_FOLDER": str(tmp_path / "tr"),
            "SEQ_INFO": {"S": 2},
            "SKIP_SPLIT_FOL": True,
            "PRINT_CONFIG": False,
        }
    )
    raw = dataset.get_raw_seq_data("ours", "S")
    if mot_classes and class_id == 1:
        with pytest.raises(trackeval.utils.TrackEvalException, match="Non pedestrian class"):
            dataset.get_preprocessed_seq_data(raw, "pedestrian")
        return
    data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
    counts = trackeval.metrics.CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
    assert (counts["CLR_TP"], counts["CLR_FN"], counts["CLR_FP"], counts["MOTA"]) == (1, 1, 0, 0.5)


def test_numbers_of_classes_need_rows_of_mot() -> None:
    for tracks in (None, Path("t.txt"), Path("-")):
        assert TrackOptions(sources=("a.mp4",), tracks=tracks, mot_classes=True).mot_classes
    with pytest.raises(InputError, match=r"expected rows of MOT \(\.txt\) for --mot-classes, found t\.csv"):
        TrackOptions(sources=("a.mp4",), tracks=Path("t.csv"), mot_classes=True)
