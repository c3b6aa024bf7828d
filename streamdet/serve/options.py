"""The options of ``streamdet serve``: of a camera, of the model and its processes, and of the server's address."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from streamdet.errors import InputError, closest, shown, without_passwords
from streamdet.fields import Option, Options, Range
from streamdet.options import ModelOptions, RecordOptions, RunOptions

DEFAULT_PORT = 8090
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a camera, which is a part of file names and addresses


@dataclass(frozen=True, kw_only=True)
class HostOptions(ModelOptions):
    """The model, and the processes that compute it."""

    workers: Annotated[int, Option("Model"), Range(1, 64)] = 1
    "Processes that the cameras are spread over, each with a model of its own."


@dataclass(frozen=True, kw_only=True)
class WatchOptions(RunOptions):
    """The options of the run of a camera, which has no end: those that state one are refused, and in no help."""

    max_frames: int | None = None
    "Refused: a camera would begin again after these frames."
    reconnect_s: float = 0.0
    "Refused: a camera is tried again for ever."
    refine: bool = False
    "Refused: a camera cannot be read twice."

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_frames", "reconnect_s", "refine"):
            if getattr(self, name):
                raise InputError(f"expected a camera without an end, which is read once, found {name}")


@dataclass(frozen=True)
class Zone:
    """A polygon in the picture.

    - `points`: its corners, in px, or as shares of width and height if all are from 0 to 1.
    - `objects`: the names of the classes that count, empty for all.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    objects: tuple[str, ...] = ()

    @classmethod
    def from_keys(cls, name: str, given: Mapping[str, Any]) -> Self:
        """Return the zone that is stated as in a site file; raises InputError.

        The corners are `points`, [[x, y], ...], or `coordinates` as in Frigate: numbers in a list or between commas.
        """
        known = ("points", "coordinates", "objects")
        if unknown := [str(key) for key in given if key not in known]:
            raise InputError(f"unknown key {shown(unknown[0])}{closest(unknown[0], known)}")
        if "coordinates" in given:
            coordinates = given["coordinates"]
            coordinates = coordinates.split(",") if isinstance(coordinates, str) else coordinates
        else:
            coordinates = [number for point in _list(given.get("points", [])) for number in _list(point)]
        try:
            numbers = [float(number) for number in coordinates]
            points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        except (ValueError, TypeError):
            raise InputError(f"expected points of two numbers each, found {shown(coordinates)}") from None
        if len(points) < 3 or not all(map(math.isfinite, numbers)):
            raise InputError(f"expected at least three points of two numbers each, found {shown(coordinates)}")
        objects = given.get("objects") or ()
        names = (objects,) if isinstance(objects, str) else tuple(map(str, _list(objects)))
        return cls(name, points, names)

    def corners(self, image_hw: tuple[int, int]) -> list[tuple[float, float]]:
        """Return the corners, x and y, in px of a picture of `image_hw`."""
        height, width = image_hw
        is_share = all(0 <= number <= 1 for point in self.points for number in point)
        return [(x * width, y * height) for x, y in self.points] if is_share else list(self.points)


@dataclass(frozen=True, kw_only=True)
class CameraSite(WatchOptions, RecordOptions):
    """A camera of a site, and the options of its run."""

    name: Annotated[str, Option("Source")]
    "What the camera is called."
    source: Annotated[str, Option("Source")]
    "Where it is: a URL, the index of a webcam, or a file, which is played as if it were a camera."
    record: Annotated[Path | None, Option("Output")] = None
    "Folder for its video, with what is tracked drawn on it, in segments of ten minutes or of another length."
    zones: tuple[Zone, ...] = ()
    "Parts of its picture that objects enter and leave."

    def __post_init__(self) -> None:
        super().__post_init__()
        if not NAME.fullmatch(self.name):
            raise InputError(f"expected a name of letters, digits, '-', '_' and '.', got {shown(self.name)}")

    @property
    def shown_source(self) -> str:
        """The source without passwords."""
        return without_passwords(self.source)


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """Where a server listens, and who may ask it."""

    host: Annotated[str, Option()] = "127.0.0.1"
    "Address to listen at; any but 127.0.0.1 demands a token."
    port: Annotated[int, Option(), Range(0, 65535)] = DEFAULT_PORT
    "Port to listen at; 0 takes a free one."
    token: Annotated[str | None, Option()] = None
    "What requests must carry: Authorization: Bearer TOKEN, or once ?token=TOKEN."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token is None and self.host not in LOCAL_HOSTS:
            raise InputError(f"expected a token for a server at {shown(self.host)}, which others can reach")
        if self.token is not None and not self.token:
            raise InputError("expected a token, found an empty one")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise InputError(f"expected a list, found {shown(value)}")
    return list(value)
