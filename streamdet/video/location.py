"""Locations: the file, images, webcam, stream or rendered scene that a SOURCE of the user names."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streamdet.data.images import IMAGE_SUFFIXES
from streamdet.errors import InputError, shown

VIDEO_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("3gp", "asf", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg"),
        *("mpg", "mts", "mxf", "ogv", "ts", "vob", "webm", "wmv", "y4m"),
    )
)
CAMERA_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps"})
WEB_SCHEMES = frozenset({"http", "https"})
SCENE_SCHEME = "scene"
# URL scheme -> module and class of its `Reader`, imported when such a URL is opened.
RENDERERS = {SCENE_SCHEME: ("streamdet.scene.scene", "SceneReader")}


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A local video file; `name` is its path as the user wrote it.

    For a file that somebody else has sent: it must be one of the containers `formats`, names of FFmpeg's demuxers that
    open no other file, a frame has at most `max_pixels`, and the first one must come within `first_frame_s`. None
    allows all.
    """

    name: str
    path: Path
    formats: tuple[str, ...] | None = None
    max_pixels: int | None = None
    first_frame_s: float | None = None


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Still images, in the order in which they are shown; `name` is the folder, pattern or path that the user wrote."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Webcam:
    """A camera of this machine; `index` counts from 0."""

    name: str
    index: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A video that is read over the network; `name` is its `url` without user name and password."""

    name: str
    url: str
    scheme: str


@dataclass(frozen=True, slots=True)
class RenderedUrl:
    """A video that is rendered while it is read; `name` is its URL."""

    name: str
    scheme: str


# The locations that PyAV opens.
Playable = VideoFile | Webcam | Stream
Location = Playable | ImageFiles | RenderedUrl


def locate(source: str | int | Path | VideoFile) -> Location:
    """Return the location that `source` names: a path, a glob pattern, a webcam's number or a URL.

    A `VideoFile` is returned as it is. Raises InputError when nothing is found there, or the URL's scheme is unknown.
    """
    if isinstance(source, VideoFile):
        return source
    text = str(source)
    path = Path(text).expanduser()
    if isinstance(source, int) or (text.isdecimal() and not path.exists()):
        return Webcam(f"webcam {int(text)}", int(text))
    if match := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text):
        scheme = match[1].lower()
        return RenderedUrl(text, scheme) if scheme in RENDERERS else _stream(text, scheme)
    if path.is_dir():
        return _images(text, path.iterdir(), "a folder with images or videos")
    if not path.exists() and glob.has_magic(text):
        return _images(text, _matches(path), "a pattern that matches images or videos")
    if not path.exists():
        raise InputError(
            f"expected a video file, an image folder, a webcam number or a URL, found nothing at {shown(text)}"
        )
    return ImageFiles(text, (path,)) if _is_image(path) else VideoFile(text, path)


def videos_in(source: str | int | Path) -> list[str]:
    """Return the videos in the folder `source`, or that match the pattern `source`, in natural order.

    The list is empty if `source` is anything else, or if there are images among the files.
    """
    path = Path(str(source)).expanduser()
    if path.is_dir():
        found = list(path.iterdir())
    elif "://" not in str(source) and not path.exists() and glob.has_magic(str(source)):
        found = list(_matches(path))
    else:
        return []
    if any(map(_is_image, found)):
        return []
    videos = (file for file in found if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file())
    return [str(video) for video in sorted(videos, key=_natural_order)]


def _stream(url: str, scheme: str) -> Stream:
    if scheme not in CAMERA_SCHEMES | WEB_SCHEMES:
        known = CAMERA_SCHEMES | WEB_SCHEMES | RENDERERS.keys()
        raise InputError(f"expected a URL of {', '.join(sorted(known))}, found the protocol {shown(scheme)}")
    return Stream(without_password(url), url, scheme)


def without_password(text: str) -> str:
    """Return `text` without the user name and password if it is a URL, otherwise unchanged."""
    return re.sub(r"(?<=://)[^/]*@", "", text)


def _matches(pattern: Path) -> Iterator[Path]:
    return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))


def _images(name: str, paths: Iterable[Path], expected: str) -> ImageFiles:
    found = tuple(sorted(filter(_is_image, paths), key=_natural_order))
    if not found:
        raise InputError(f"expected {expected} ({', '.join(sorted(IMAGE_SUFFIXES))}), found none in {shown(name)}")
    return ImageFiles(name, found)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
