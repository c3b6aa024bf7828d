"""Image files that a run writes: which crop of a track is the best, and what becomes of images that are tracked."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamdet.cli.outputs import image_names
from streamdet.errors import InputError, OutputError
from streamdet.pictures import CropSink, ImageSink
from streamdet.result import Result
from streamdet.types import Detections, Frame, Tracks, UInt8Array

Box = tuple[float, float, float, float]
Seen = tuple[int, Box, float, bool]  # id, box, score, whether it was detected


def result(index: int, *seen: Seen) -> Result:
    """Return a frame of 100x80 px whose grey level is ten times its index, with these tracks."""
    image = np.full((80, 100, 3), 10 * index, np.uint8)
    ids, boxes, scores, detected = zip(*seen, strict=True) if seen else ((), (), (), ())
    rows = [row if is_detected else -1 for row, is_detected in enumerate(detected)]
    classes = np.zeros(len(ids), np.int64)
    box_rows = np.array(boxes, np.float32).reshape(-1, 4)
    tracks = Tracks(np.array(ids, np.int64), box_rows, np.array(scores, np.float32), classes, np.array(rows, np.int64))
    found = Detections(box_rows, np.array(scores, np.float32), classes)
    return Result(Frame(index, index, Fraction(1, 10), image, "a", 0.0), found, tracks, ("person",), {})


def read(path: Path) -> UInt8Array:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    return np.asarray(image, np.uint8)


def crops(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return height, width and the frame of every crop."""
    images = {path.name: read(path) for path in folder.iterdir()}
    return {name: (*image.shape[:2], round(float(image.mean()) / 10)) for name, image in images.items()}


def test_the_best_crop_has_the_largest_score_times_area(tmp_path: Path) -> None:
    with CropSink(tmp_path / "crops") as sink:
        sink.write(result(1, (7, (10, 10, 30, 30), 0.9, True)))  # 360
        sink.write(result(2, (7, (10, 10, 40, 30), 0.7, True)))  # 420
        sink.write(result(3, (7, (10, 10, 50, 30), 0.5, True)))  # 400
    assert crops(tmp_path / "crops") == {"7.jpg": (20, 30, 2)}


def test_a_crop_is_cut_at_the_frame_and_counts_with_what_is_left(tmp_path: Path) -> None:
    with CropSink(tmp_path) as sink:
        sink.write(result(1, (1, (60.4, 20.5, 79.6, 59.5), 0.5, True)))  # 20 x 40 px
        sink.write(result(2, (1, (90, -40, 300, 40), 0.5, True)))  # only 10 x 40 px are in the frame
        sink.write(result(3, (2, (200, 200, 300, 300), 0.9, True)))  # nothing is
    assert crops(tmp_path) == {"1.jpg": (40, 20, 1)}


def test_a_place_where_nothing_was_detected_is_no_crop(tmp_path: Path) -> None:
    with CropSink(tmp_path) as sink:
        sink.write(result(1, (2, (0, 0, 10, 10), 0.5, True), (1, (20, 20, 30, 40), 0.5, True)))
        sink.write(result(2, (1, (0, 0, 90, 70), 0.9, False)))
    assert crops(tmp_path) == {"1.jpg": (20, 10, 1), "2.jpg": (10, 10, 1)}


def test_a_crop_is_written_when_its_track_is_gone_and_again_when_a_better_one_comes(tmp_path: Path) -> None:
    with CropSink(tmp_path) as sink:
        sink.write(result(1, (1, (0, 0, 20, 20), 0.5, True)))
        assert crops(tmp_path) == {}
        sink.write(result(2))
        assert crops(tmp_path) == {"1.jpg": (20, 20, 1)}
        sink.write(result(3, (1, (0, 0, 10, 10), 0.5, True)))
        sink.write(result(4))
        assert crops(tmp_path) == {"1.jpg": (20, 20, 1)}
        sink.write(result(5, (1, (0, 0, 40, 40), 0.5, True)))
    assert crops(tmp_path) == {"1.jpg": (40, 40, 5)}


def test_colours_stay_and_a_place_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "new", ["red.png"])
    sink.write(np.full((4, 6, 3), (200, 30, 0), np.uint8), 0, Fraction(1))
    assert read(tmp_path / "new" / "red.png")[0, 0].tolist() == [200, 30, 0]
    with pytest.raises(InputError, match=r"expected a folder for pictures, but .*red\.png is none: File exists"):
        ImageSink(tmp_path / "new" / "red.png", ["red.png"])
    (tmp_path / "new" / "red.png").unlink()
    (tmp_path / "new").rmdir()
    with pytest.raises(OutputError, match=r"expected to write .*red\.png, but no such file"):
        sink.write(np.zeros((4, 6, 3), np.uint8), 0, Fraction(1))


Track = Callable[..., str]


@pytest.fixture
def track(streamdet: Track, tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Track:
    """Track in a folder with the images in/1.png, in/2.bmp and in/10.jpg, of other sizes each."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, width in (("1.png", 64), ("2.bmp", 96), ("10.jpg", 128)):
        cv2.imwrite(f"in/{name}", np.full((48, width, 3), 128, np.uint8))
    model = ["--model", tiny_weights, "--imgsz", 64, "--device", "cpu"]
    return lambda *words, code=0: streamdet("track", *words, *model, code=code)


def sizes(folder: str) -> dict[str, int]:
    """Return the widths of the images in a folder; all are 48 px high."""
    images = {path.name: read(path) for path in Path(folder).iterdir()}
    assert {image.shape[0] for image in images.values()} <= {48}
    return {name: image.shape[1] for name, image in images.items()}


def test_an_image_gives_an_image(track: Track) -> None:
    assert ", runs/1.png, runs/1.txt\n" in track("in/1.png")
    assert read(Path("runs/1.png")).shape == (48, 64, 3)
    assert (read(Path("runs/1.png")) != 128).any()  # something was drawn
    track("in/1.png", "--out", "drawn.jpg", "--tracks", "t.txt")
    assert read(Path("drawn.jpg")).shape == (48, 64, 3)


def test_a_folder_of_images_gives_a_folder_or_a_video(track: Track) -> None:
    assert ", runs/in, runs/in.txt\n" in track("in")
    assert sizes("runs/in") == {"1.png": 64, "2.bmp": 96, "10.jpg": 128}
    track("in", "--out", "some/drawn", "--out", "drawn.mp4")
    assert sizes("some/drawn") == sizes("runs/in")
    with av.open("drawn.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert ", runs/in-2, runs/in-2.txt\n" in track("in", "--every", 2)
    assert sizes("runs/in-2") == {"1.png": 64, "10.jpg": 128}


def test_several_images_give_an_image_each(track: Track) -> None:
    track("in/1.png", "in/10.jpg", "--crops", "crops")
    assert sorted(path.name for path in Path("runs/track").iterdir()) == ["1.png", "1.txt", "10.jpg", "10.txt"]
    ids = {
        name: {row.split(",")[1] for row in Path(f"runs/track/{name}.txt").read_text().split()} for name in ("1", "10")
    }
    assert {name: {path.stem for path in Path("crops", name).iterdir()} for name in ids} == ids
    assert all(ids.values())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("in --out in", "expected a folder of its own for the results, but in holds the source"),
        ("in --out in --overwrite", "expected a folder of its own for the results, but in holds the source"),
        (
            "in --crops in/../in --overwrite",
            "expected a folder of its own for the results, but in/../in holds the source",
        ),
        (
            "in/1.png in/2.bmp --out in --overwrite",
            "expected a file of its own for 1.png, but in/1.png is read as SOURCE",
        ),
        ("in --out x.png", "expected a folder or a video for 3 images, found 'x.png'"),
        ("in/1.png --out x.gif", "expected an image or a video, found 'x.gif'"),
        ("in/1.png --out in/1.png --overwrite", "expected a file of its own for --out, but in/1.png is read as SOURCE"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(track: Track, words: str, sentence: str) -> None:
    before = {path: path.read_bytes() for path in Path("in").iterdir()}
    assert track(*words.split(), code=2).splitlines()[-1].startswith(f"error: {sentence}")
    assert {path: path.read_bytes() for path in Path("in").iterdir()} == before


def test_a_run_that_fails_leaves_no_folder(track: Track) -> None:
    track("in", "--explain", "missing/e.jsonl", code=2)
    assert list(Path("runs").iterdir()) == []


def test_pictures_are_called_as_the_images(track: Track) -> None:
    for name in ("a/x.jp2", "b/x.png", "b/y.jp2"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(Path("in/1.png").read_bytes())
    assert image_names("*/*.*") == ["x.png", "x-2.png", "y.png", "1.png", "2.bmp", "10.jpg"]
    assert image_names("nothing.mp4") == image_names("scene://street") == []
