"""Clips of a rendered street, coded beforehand, whose pictures carry their number and whose objects are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from streamdet.scene.scene import Scene, SceneOptions
from streamdet.types import Float32Array, Int64Array, UInt8Array
from tests.live.counter import mark
from tests.live.film import coded

SEED = 7


class Objects(NamedTuple):
    """What can be seen in a picture: `ids` i64 (N,) of the objects and `boxes` f32 (N, 4) around them."""

    ids: Int64Array
    boxes: Float32Array


@dataclass(frozen=True)
class Clip:
    """A street in H.264, kept in `folder`; one in `key_interval` of its `count` pictures is a key frame."""

    folder: Path
    size: tuple[int, int] = (1280, 720)  # width and height, px
    rate_hz: int = 10
    seconds: int = 60
    key_interval: int = 10

    @property
    def count(self) -> int:
        """The number of pictures, after which a camera that shows the clip begins again."""
        return self.rate_hz * self.seconds

    @property
    def path(self) -> Path:
        """The file, a stream of bytes that any player shows; its objects are in another one beside it."""
        name = f"street {self.size[0]}x{self.size[1]} {self.rate_hz} Hz {self.seconds} s key {self.key_interval}.h264"
        return self.folder / name

    def made(self) -> Path:
        """Return the file; it is made if it is not there yet."""
        if not self.path.exists():
            self._make()
        return self.path

    @cached_property
    def objects(self) -> list[Objects]:
        """The objects in each picture."""
        self.made()
        with np.load(self._truth_path) as truth:
            ids, boxes, numbers = (truth[name] for name in ("ids", "boxes", "numbers"))
        return [Objects(ids[numbers == number], boxes[numbers == number]) for number in range(self.count)]

    @property
    def _truth_path(self) -> Path:
        return self.path.with_suffix(".npz")

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        objects: list[Objects] = []
        stream = coded(self._images(objects), Fraction(self.rate_hz), key_interval=self.key_interval)
        np.savez(
            self._truth_path,
            ids=np.concatenate([each.ids for each in objects]),
            boxes=np.concatenate([each.boxes for each in objects]),
            numbers=np.repeat(np.arange(self.count), [len(each.ids) for each in objects]),
        )
        part = self.path.with_suffix(".part")
        part.write_bytes(stream)
        part.rename(self.path)

    def _images(self, objects: list[Objects]) -> Iterator[UInt8Array]:
        """Yield the pictures, and append what can be seen in each."""
        scene = Scene(SceneOptions(SEED, Fraction(self.seconds), Fraction(self.rate_hz), self.size))
        for number in range(self.count):
            image, truth = scene.render(number)
            objects.append(Objects(truth.ids[truth.clear], truth.boxes[truth.clear]))
            mark(image, number)
            yield image
