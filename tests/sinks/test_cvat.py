"""CVAT for video 1.1, against its published description: docs.cvat.ai, "XML annotation format"."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.header import TracksHeader
from tests.sinks.results import result, write

BOX = {"frame", "xtl", "ytl", "xbr", "ybr", "outside", "occluded", "keyframe"}  # attributes that are required
VIDEO = TracksHeader(source="a & b.mp4", width=90, height=80, frame_count=10)


def read(path: Path) -> ElementTree.Element:
    """Return the root of a file after a check of its structure."""
    root = ElementTree.parse(path).getroot()
    assert (root.tag, root.findtext("version"), root.findtext("meta/task/mode")) == (
        "annotations",
        "1.1",
        "interpolation",
    )
    labels = [label.text for label in root.findall("meta/task/labels/label/name")]
    size = int(root.findtext("meta/task/size") or "")
    assert [child.tag for child in root] == ["version", "meta", *["track"] * len(root.findall("track"))]
    for track in root.findall("track"):
        assert track.attrib["label"] in labels
        assert track.attrib["source"] == "auto"
        frames = [int(box.attrib["frame"]) for box in track]
        assert frames == sorted(set(frames))
        assert 0 <= frames[0] <= frames[-1] < size
        for box in track:
            assert box.tag == "box"
            assert box.attrib.keys() == BOX | {"z_order"}
            assert {box.attrib[name] for name in ("outside", "occluded", "keyframe")} <= {"0", "1"}
            left, top, right, bottom = (float(box.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
            assert left < right and top < bottom
    return root


def boxes(path: Path, names: str = "outside") -> dict[str, list[tuple[int, ...]]]:
    """Return frame and flags of each box, by id of the track."""
    flags = ["frame", *names.split()]
    return {
        track.attrib["id"]: [tuple(int(box.attrib[name]) for name in flags) for box in track]
        for track in read(path).findall("track")
    }


def test_tracks_have_a_box_per_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "t.xml", header=VIDEO)
    assert boxes(path, "outside occluded keyframe") == {
        "1": [(0, 0, 0, 1), (1, 1, 0, 1)],
        "2": [(0, 0, 1, 1), (1, 1, 0, 1), (2, 0, 0, 1), (3, 1, 0, 1)],  # predicted, gone, back, gone with the run
    }
    root = read(path)
    assert root.findtext("meta/task/name") == "a & b.mp4"
    assert root.findtext("meta/task/size") == "10"
    assert (root.findtext("meta/task/original_size/width"), root.findtext("meta/task/original_size/height")) == (
        "90",
        "80",
    )
    assert root.find("track/box").attrib["xbr"] == "30.50"  # type: ignore[union-attr]


def test_a_track_goes_on_to_the_last_frame_of_the_video(tmp_path: Path) -> None:
    assert boxes(write(tmp_path / "t.xml", {0: [1], 1: [1]}, TracksHeader(frame_count=2))) == {"1": [(0, 0), (1, 0)]}
    assert boxes(write(tmp_path / "u.xml", {0: [1], 1: [1]})) == {"1": [(0, 0), (1, 0)]}


def test_frames_that_the_run_left_out_are_no_gaps(tmp_path: Path) -> None:
    found = boxes(write(tmp_path / "t.xml", {0: [1], 3: [1], 6: [], 9: [1]}, VIDEO))
    assert found == {"1": [(0, 0), (3, 0), (6, 1), (9, 0)]}


def test_the_label_is_the_class_that_was_seen_most(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.xml") as sink:
        for index, class_id in enumerate([1, 0, 0]):
            sink.write(result(index, [4], class_id=class_id))
    assert [track.attrib["label"] for track in read(tmp_path / "t.xml").findall("track")] == ["person"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("<a & \"b\" 'c'>", "<a & \"b\" 'c'>"),
        ("Fußgänger", "Fußgänger"),
        ("a\x00b\n", "a\\x00b\\n"),
        ("\udce9", "\\udce9"),
    ],
)
def test_a_hostile_name_is_a_label(tmp_path: Path, name: str, label: str) -> None:
    with open_track_sink(tmp_path / "t.xml", TracksHeader(source=name)) as sink:
        sink.write(result(0, [1], class_id=0, names=[name]))
    root = read(tmp_path / "t.xml")
    assert [track.attrib["label"] for track in root.findall("track")] == [label]
    assert root.findtext("meta/task/name") == label


def test_a_run_without_results_has_no_tracks(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.xml"):
        pass
    assert boxes(tmp_path / "t.xml") == {}
