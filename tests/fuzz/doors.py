"""The doors: where input from outside comes in, with right inputs of each, and how an input is tried there."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache, partial
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from cyclopts import CycloptsError

from streamdet.cli.app import app
from streamdet.cli.command import Command, error_message
from streamdet.data.dataset import read_dataset
from streamdet.data.images import examine
from streamdet.data.labels import LabelFormat, read_labels
from streamdet.errors import InputError
from streamdet.files import resource
from streamdet.models.table import load_spec
from streamdet.tracking.config import load_camera_motion, read_tracker
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.tracking.state import read_state
from streamdet.train.config import read_train_config
from streamdet.types import Detections, Frame
from streamdet.video.source import open_source
from tests.data.heif_files import heic, quarters
from tests.fuzz.mutation import mutated, mutated_archive
from trackers.__main__ import main as track_file
from trackers.config import TRACKERS, parse_config


class Door(NamedTuple):
    """A place where input comes in.

    - `seeds` returns right inputs, made in a folder.
    - `enter` tries an input in the folder; it returns for one that is accepted, and raises for one that is refused.
    - `mutate` changes a right input.
    """

    seeds: Callable[[Path], list[bytes]]
    enter: Callable[[bytes, Path], object]
    mutate: Callable[[np.random.Generator, bytes], bytes] = mutated


def constant(*seeds: str) -> Callable[[Path], list[bytes]]:
    return lambda _: [seed.encode() for seed in seeds]


def shipped(folder: str) -> Callable[[Path], list[bytes]]:
    return lambda _: [path.read_bytes() for path in sorted(resource(folder).glob("*.yaml"))]


def written(content: bytes, path: Path) -> Path:
    path.write_bytes(content)
    return path


# A command line, up to the options that it is read as: words, which NUL separates, here written as a bar.

COMMAND_LINES = (
    "track|a.mp4|--model|yolov8n.pt|--conf|0.3|--classes|person,car|--out|b.mp4|--every|auto",
    "track|rtsp://a/b|--tracker|botsort|--size|640|--tracks|a.jsonl|--device|cpu|--show",
    "train|data.yaml|--epochs|3|--batch|4|--set|mosaic=0.5|--set|lr0=0.01|--out|runs/a",
    "eval|det|data.yaml|--model|a.pt|--split|train|--iou|0.7|--max-det|100",
    "eval|mot|truth|tracks|--half|val|--sequences|a,b",
    "label|a.mp4|--out|b|--every|10|--conf|0.4",
    "export|a.pt|--out|a.onnx|--nms|--size|384x640",
    "tune|MOT17|--trials|5|--tracker|sort",
    "explain|a.json|7",
    "bench|--seconds|2",
    "model|info|yolov8n",
)


def command_seeds(_: Path) -> list[bytes]:
    return [line.replace("|", "\0").encode() for line in COMMAND_LINES]


def enter_command(content: bytes, _: Path) -> None:
    words = content.decode("utf-8", "surrogateescape").split("\0")
    try:
        called, bound, _ignored = app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise InputError(error_message(error)) from None
    if isinstance(called, Command) and called.options:
        called.read(*bound.args, **bound.kwargs)


# Files of settings, and labels.


def enter_tracker(content: bytes, folder: Path) -> None:
    config = read_tracker(written(content, folder / "tracker.yaml"))
    load_camera_motion(config)
    config.build(30.0)


def enter_table(content: bytes, folder: Path) -> None:
    load_spec(str(written(content, folder / "table.yaml")))


def enter_settings(content: bytes, folder: Path) -> None:
    read_train_config(written(content, folder / "train.yaml"), {})


DATA_FILES = (
    "path: .\ntrain: images\nval: [images, list.txt]\nnames: [person, car]\nlabelled: {images: [car]}\n",
    "train: ../images\nnc: 2\nnames:\n  0: person\n  1: car\nkpt_shape: [2, 3]\n",
    "train: images/*.png\nval:\nnames: {'0': yes, '1': 0x10}\n",
)
LABELS = ("0 0.5 0.5 0.2 0.4\n1 0.1 0.5 0.4 0.2 0.3 0.9\n2 0.5 0.5 0.1 0.1 0.9\n", "0 .5 .5 .2 .4 .1 .9 2 .3 .8 0\r\n")


def data_seeds(folder: Path) -> list[bytes]:
    (folder / "images").mkdir(exist_ok=True)
    written(encoded(".png"), folder / "images" / "a.png")
    written(b"images/a.png\nimages/gone.png\n", folder / "list.txt")
    return [seed.encode() for seed in DATA_FILES]


def enter_data(content: bytes, folder: Path) -> None:
    dataset = read_dataset(written(content, folder / "data.yaml"))
    for image in (*dataset.train, *dataset.val):
        image.read_labels()


def enter_list(content: bytes, folder: Path) -> None:
    data_seeds(folder)
    written(content, folder / "odd.txt")
    dataset = read_dataset(written(b"train: odd.txt\nnames: [person]", folder / "data.yaml"))
    for image in dataset.train:
        examine(image.image)


def enter_labels(content: bytes, folder: Path) -> None:
    path = written(content, folder / "labels.txt")
    shapes = (0, 0), (2, 3)
    for form in (
        LabelFormat(task, shape) for task, shape in [*product(("detect", "segment", "obb"), shapes), ("pose", (2, 3))]
    ):
        objects, faults = read_labels(path, 3, form)
        assert np.isfinite(objects.boxes).all()
        assert objects.shapes is None or np.isfinite(objects.shapes.points).all()
        assert all(fault.found.isprintable() for fault in faults)


# The state of a run.


def state_seeds(folder: Path) -> list[bytes]:
    return [_state(name, folder / "seed.npz") for name in ("streamsort", "sort")]


@cache
def _state(name: str, path: Path) -> bytes:
    path.unlink(missing_ok=True)
    tracker = load_tracker(name, 25)
    tracker.remember(path, ("person",), live=False)
    image = np.zeros((64, 64, 3), np.uint8)
    for k in range(4):
        found = Detections(np.array([[5 + k, 5, 25 + k, 60]]), np.array([0.9]), np.array([0]))
        tracker.update(Frame(k, k, Fraction(1, 25), image, "test", 0.0), found)
    tracker.close()
    return path.read_bytes()


def enter_state(content: bytes, folder: Path) -> None:
    path = written(content, folder / "state.npz")
    state = read_state(path)
    if state is not None:
        state.check("streamsort", ("person",))
        load_tracker("streamsort", 25).restore(state, ("person",), live=False)


# Track files, and updates of a tracker.

TRACK_FILES = (
    "1,-1,10,20,30,60,0.9,-1,-1,-1\n1,-1,80,20,30,60,0.8\n2,-1,12,20,30,60,0.9,-1,-1,-1\n3,-1,14,20,30,60,0.9\n",
    "1,-1,1e2,2e1,30,60,0.95,-1,-1,-1\r\n\r\n5,-1,110,20,30,60,0.9,-1,-1,-1,\r\n",
)
ODD_NUMBERS = (0.0, -1.0, 0.5, 1.0, 2.0, 1e300, -1e300, 1e38, 1e-300, np.nan, np.inf, -np.inf)


def enter_track_file(content: bytes, folder: Path) -> None:
    detections, complaint = written(content, folder / "detections.txt"), io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            track_file([str(detections), "--out", str(folder / "tracks.txt"), "--refine"])
    except SystemExit:
        raise ValueError(complaint.getvalue().strip()) from None


def odd(rng: np.random.Generator, values: Any) -> Any:
    """Return `values`, sometimes with a number, a type or a shape that does not belong there."""
    array: Any = np.array(values, np.float64)
    if array.size and rng.random() < 0.05:
        array.flat[rng.integers(array.size)] = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
    if rng.random() < 0.05:
        array = array.astype(("f4", "i8", "u1", "?", "c16", "O", "S8")[rng.integers(7)])
    if rng.random() < 0.02:
        array = (array[..., None], array.tolist(), array.T, array[:0], None, "x", 7)[rng.integers(7)]
    return array


def enter_updates(content: bytes, _: Path) -> None:
    """Update each tracker with arrays that are made of the random `content`."""
    rng = np.random.default_rng(np.frombuffer(content, np.uint8))
    tracker: Any = parse_config({"tracker_type": sorted(TRACKERS)[rng.integers(len(TRACKERS))]}).build(30.0)
    for _step in range(4):
        count = int(rng.integers(0, 5))
        named: dict[str, Any] = {}
        if rng.random() < 0.1:
            named["elapsed"] = float(rng.choice([*ODD_NUMBERS, 1.5, 30]))
        if rng.random() < 0.3:
            named["camera_motion"] = odd(rng, np.eye(2, 3))
        if rng.random() < 0.3:
            named["features"] = odd(rng, rng.random((count, 4)))
        boxes, class_ids = np.sort(rng.random((count, 4)) * 100), rng.integers(0, 3, count)
        tracks = tracker.update(odd(rng, boxes), odd(rng, rng.random(count)), odd(rng, class_ids), **named)
        assert np.isfinite(tracks.boxes).all()


# Images, clips and playlists.


def encoded(suffix: str, parameters: Sequence[int] = ()) -> bytes:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    return cv2.imencode(suffix, image, parameters)[1].tobytes()


def image_seeds(_: Path) -> list[bytes]:
    lossless = (cv2.IMWRITE_WEBP_QUALITY, 101)
    suffixes = (".jpg", ".png", ".bmp", ".tif", ".webp", ".ppm", ".avif")
    return [*map(encoded, suffixes), encoded(".webp", lossless), heic(quarters(64, 64))]


def header_mutated(rng: np.random.Generator, content: bytes) -> bytes:
    """Return `content` with edits in its first bytes, where its size and layout are."""
    size = int(rng.integers(4, 128))
    return mutated(rng, content[:size]) + content[size:]


def enter_image(content: bytes, folder: Path) -> None:
    facts = examine(written(content, folder / "image.jpg"))
    if facts.problem is not None:
        raise InputError(facts.problem)


def clip(path: Path, codec: str) -> bytes:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(0, 120, 10):
            image = np.full((48, 64, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def clip_seeds(folder: Path) -> list[bytes]:
    codecs = {"seed.mp4": "libx264", "seed.mkv": "mpeg4", "seed.avi": "mpeg4", "seed.ts": "mpeg2video"}
    return [clip(folder / name, codec) for name, codec in codecs.items()]


PLAYLISTS = (
    "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\nseed.ts\n#EXTINF:1.2,\nseed.ts\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\nother.m3u8\n",
    "ffconcat version 1.0\nfile seed.ts\nduration 1.2\nfile seed.mp4\n",
)


def playlist_seeds(folder: Path) -> list[bytes]:
    clip_seeds(folder)
    return [seed.encode() for seed in PLAYLISTS]


def enter_source(name: str, content: bytes, folder: Path) -> None:
    with open_source(written(content, folder / name)) as source:
        for frame in islice(source, 50):
            assert frame.image.ndim == 3


DOORS: dict[str, Door] = {
    "command line": Door(command_seeds, enter_command),
    "tracker": Door(shipped("configs/trackers"), enter_tracker),
    "model table": Door(shipped("configs/models"), enter_table),
    "train settings": Door(
        constant("epochs: 3\nlr0: 0.01\ncache: true\noptimizer: adamw\nbox: null\n"), enter_settings
    ),
    "data file": Door(data_seeds, enter_data),
    "image list": Door(constant("images/a.png\nimages/b.png\r\n"), enter_list),
    "labels": Door(constant(*LABELS), enter_labels),
    "state": Door(state_seeds, enter_state, mutated_archive),
    "track file": Door(constant(*TRACK_FILES), enter_track_file),
    "updates": Door(constant("00000000"), enter_updates, lambda rng, _: rng.bytes(8)),
    "image": Door(image_seeds, enter_image, header_mutated),
    "clip": Door(clip_seeds, partial(enter_source, "clip.mp4"), header_mutated),
    "playlist": Door(playlist_seeds, partial(enter_source, "list.m3u8")),
}
