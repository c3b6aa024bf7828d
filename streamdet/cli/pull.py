"""``streamdet model pull``: free detectors that others have published, and their download."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.progress import DownloadColumn, Progress

from streamdet.cli.console import stderr, stdout, table
from streamdet.errors import InputError, OutputError, closest, shown
from streamdet.files import path_kind, replacing

TIMEOUT_S = 30.0
_BLOCK = 1 << 16
_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A file that anyone may download.

    `coco_ap` is the mAP50-95 in percent that its authors published (COCO val2017), in images of `side_px`.
    """

    name: str
    url: str
    sha256: str
    licence: str
    parameters_m: float
    side_px: int
    coco_ap: float

    @property
    def file_name(self) -> str:
        """The name of the file."""
        return self.url.rsplit("/", 1)[1]


def _yolox(size: str, sha256: str, parameters_m: float, side_px: int, coco_ap: float) -> PublishedModel:
    """Return a YOLOX (arXiv 2107.08430); figures of its page about ONNX."""
    url = f"{_YOLOX}/yolox_{size}.onnx"
    return PublishedModel(f"yolox-{size}", url, sha256, "Apache-2.0", parameters_m, side_px, coco_ap)


PUBLISHED = {
    model.name: model
    for model in (
        _yolox("nano", "e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd", 0.91, 416, 25.8),
        _yolox("tiny", "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7", 5.06, 416, 32.8),
        _yolox("s", "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063", 9.0, 640, 40.5),
    )
}


def list_published() -> None:
    """Print the models that `pull_model` knows."""
    rows = table("name", "COCO AP", "image px", "M parameters", "licence", left=("name", "licence"))
    for model in PUBLISHED.values():
        cells = (f"{model.coco_ap:.1f}", str(model.side_px), f"{model.parameters_m:.1f}", model.licence)
        rows.add_row(model.name, *cells)
    stdout.print(rows)
    stdout.print(
        "ONNX files of YOLOv5 to v12, 26, RF-DETR, RT-DETR and D-FINE work as --model too, once you have them.",
        soft_wrap=True,
    )


def pull_model(name: str, folder: Path) -> None:
    """Download the published model `name` into `folder`, and print how to use it."""
    model = published(name)
    with Progress(*Progress.get_default_columns(), DownloadColumn(), console=stderr, transient=True) as progress:
        task = progress.add_task(model.file_name, total=None)
        path = download(model, folder, lambda done, total: progress.update(task, completed=done, total=total))
    stderr.print(f"{path} ({model.licence}): use it with --model {path}", markup=False, soft_wrap=True)


def published(name: str) -> PublishedModel:
    """Return the model of this name; raises InputError naming the nearest."""
    if name not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        raise InputError(f"expected one of {known}, found {shown(name)}{closest(name, list(PUBLISHED))}")
    return PUBLISHED[name]


def download(model: PublishedModel, folder: Path, advance: Callable[[int, int | None], None] | None = None) -> Path:
    """Return the file of `model` in `folder`, which is downloaded unless it is there.

    `advance` is called with the number of bytes that have come, and with that of all where the server states it. Raises
    InputError for a file of that name with another content, and OutputError if the download fails or what came is not
    what was published; no part of a file stays.
    """
    path = folder / model.file_name
    if path_kind(path) is not None:
        if path_kind(path) == "file" and _digest(path) == model.sha256:
            return path
        raise InputError(f"{path}: expected the published {model.name}, found something else: it was left as it is")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            _fetch(model.url, partial, advance)
            if _digest(partial) != model.sha256:
                raise OutputError(f"{model.url}: expected the published {model.name}, but other bytes came")
    except OSError as error:  # those of the network too
        raise OutputError(f"{model.url} cannot be downloaded to {path}: {error}") from None
    return path


def _fetch(url: str, path: Path, advance: Callable[[int, int | None], None] | None) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, path.open("wb") as file:
        length = answer.headers.get("Content-Length")
        total = int(length) if length is not None else None
        while block := answer.read(_BLOCK):
            file.write(block)
            if advance is not None:
                advance(file.tell(), total)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
