"""``streamdet track --tracks``: the ending chooses the format, and the file tells the run."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pandas
import pytest

SCENE = "scene://street?seed=7&seconds=1&fps=6&size=320x192"

Streamdet = Callable[..., str]


@pytest.fixture
def track(streamdet: Streamdet, tmp_path: Path) -> Callable[..., Path]:
    def run(name: str, *options: object) -> Path:
        streamdet("track", SCENE, "--imgsz", 320, "--device", "cpu", "--tracks", tmp_path / name, *options, code=0)
        return tmp_path / name

    return run


def test_all_formats_tell_the_same_tracks(track: Callable[..., Path]) -> None:
    header, *frames = [json.loads(line) for line in track("t.jsonl").read_text().splitlines()]
    assert (header["source"], header["model"], header["frame_count"]) == (SCENE, "embedded", 6)
    assert (header["options"]["size"], header["options"]["tracker"]) == (320, "streamsort")
    seen = [(frame["frame"], each["id"], each["class_name"]) for frame in frames for each in frame["tracks"]]
    assert len(seen) > 5

    table = pandas.read_parquet(track("t.parquet"))
    assert [*table[["frame", "id", "class_name"]].itertuples(index=False, name=None)] == seen

    boxes = json.loads(track("t.json").read_text())
    numbers = {name: number for number, name in enumerate(header["class_names"], 1)}
    expected = [(frame + 1, track_id, numbers[name]) for frame, track_id, name in seen]
    assert [(box["image_id"], box["track_id"], box["category_id"]) for box in boxes] == expected

    tracks = ElementTree.parse(track("t.xml")).getroot().findall("track")
    visible = [
        (int(box.attrib["frame"]), int(each.attrib["id"]))
        for each in tracks
        for box in each.findall("box[@outside='0']")
    ]
    assert sorted(visible) == sorted((frame, track_id) for frame, track_id, _ in seen)


def test_mot_rows_name_classes_if_asked(track: Callable[..., Path]) -> None:
    rows = [line.split(",") for line in track("t.txt", "--mot-classes", "--classes", "person").read_text().splitlines()]
    assert rows
    assert {tuple(row[7:]) for row in rows} == {("1", "-1", "-1")}
