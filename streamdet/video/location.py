"""Locations: the file, images, webcam, stream or rendered scene that a SOURCE of the user names."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streamdet.data.images import IMAGE_SUFFIXES, is_image_file
from streamdet.errors import InputError, shown, without_passwords

VIDEO_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("3gp", "asf", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg"),
        *("mpg", "mts", "mxf", "ogv", "ts", "vob", "webm", "wmv", "y4m"),
    )
)
CAMERA_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp"})
SDP_SCHEME = "sdp"  # of a local file that describes a session (RFC 8866), whose packets come over the network
WEB_SCHEMES = frozenset({"http", "https"})
_MAX_DIGITS = 9  # of the number of a webcam
SCENE_SCHEME = "scene"
# URL scheme -> module and class of its `Reader`, imported when such a URL is opened.
RENDERERS = {SCENE_SCHEME: ("streamdet.scene.scene", "SceneReader")}


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A local video file; `name` is its path as the user wrote it.

    For a file that somebody else has sent: it must be one of the containers `formats`, names of FFmpeg's demuxers that
    open no other file, and its first frame must come within `first_frame_s`. None allows all.
    """

    name: str
    path: Path
    formats: tuple[str, ...] | None = None
    first_frame_s: float | None = None


@dataclass(frozen=True, slots=True)
class Pipe:
    """A video that can be read only once, from the start to the end; `url` is what FFmpeg opens."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Still images, in the order in which they are shown; `name` is the folder, pattern or path that the user wrote.

    `videos` is the number of videos beside them, which are not read.
    """

    name: str
    paths: tuple[Path, ...]
    videos: int = 0


@dataclass(frozen=True, slots=True)
class Webcam:
    """A camera of this machine; `index` counts from 0."""

    name: str
    index: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A video that is read over the network; `name` is its `url` without passwords."""

    name: str
    url: str
    scheme: str


@dataclass(frozen=True, slots=True)
class RenderedUrl:
    """A video that is rendered while it is read; `name` is its URL."""

    name: str
    scheme: str


# The locations that PyAV opens.
Playable = VideoFile | Pipe | Webcam | Stream
Location = Playable | ImageFiles | RenderedUrl


def locate(source: str | int | Path | VideoFile) -> Location:
    """Return the location that `source` names: a path, a glob pattern, a webcam's number, a URL, or "-" for a pipe.

    A `VideoFile` is returned as it is. Raises InputError when nothing is found there, or the URL's scheme is unknown.
    """
    if isinstance(source, VideoFile):
        return source
    try:
        return _locate(source)
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise InputError(f"expected a source that can be read, but {shown(source)} cannot: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _locate(source: str | int | Path) -> Location:
    text = str(source)
    path = Path(text).expanduser()
    if isinstance(source, int) or (text.isdecimal() and len(text) <= _MAX_DIGITS and not path.exists()):
        return Webcam(f"webcam {int(text)}", int(text))
    if text == "-":
        if sys.stdin is not None and sys.stdin.isatty():
            raise InputError("expected a video on the standard input, found a terminal")
        return Pipe("standard input", "pipe:0")
    if match := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text):
        scheme = match[1].lower()
        return RenderedUrl(text, scheme) if scheme in RENDERERS else _stream(text, scheme)
    if path.is_dir():
        return _images(text, path.iterdir(), "a folder with images or videos")
    if not path.exists() and glob.has_magic(text):
        return _images(text, _matches(path), "a pattern that matches images or videos")
    if not path.exists():
        # It may be an address without its scheme.
        text = re.sub(r"^[^/]*:.*@", "…@", text)
        raise InputError(
            f"expected a video file, an image folder, a webcam number or a URL, found nothing at {shown(text)}"
        )
    if path.is_fifo():
        return Pipe(text, f"file:{path}")
    if path.suffix.lower() == ".sdp":
        return Stream(text, str(path), SDP_SCHEME)
    return ImageFiles(text, (path,)) if _is_image(path) else VideoFile(text, path)


def videos_in(source: str | int | Path) -> list[str]:
    """Return the videos in the folder `source`, or that match the pattern `source`, in natural order.

    The list is empty if `source` is anything else, or if there are images among the files.
    """
    path = Path(str(source)).expanduser()
    try:
        if path.is_dir():
            found = list(path.iterdir())
        elif "://" not in str(source) and not path.exists() and glob.has_magic(str(source)):
            found = list(_matches(path))
        else:
            return []
    except OSError:  # `locate` tells why
        return []
    if any(map(_is_image, found)):
        return []
    return [str(video) for video in sorted(filter(_is_video, found), key=_natural_order)]


def files_at(source: str | int | Path) -> tuple[Path, ...]:
    """Return the files that `source` names: a video or images; none for any other source, and where there is none."""
    try:
        location = locate(source)
    except InputError:
        return ()
    if isinstance(location, VideoFile):
        return (location.path,)
    return location.paths if isinstance(location, ImageFiles) else ()


def _stream(url: str, scheme: str) -> Stream:
    if scheme not in CAMERA_SCHEMES | WEB_SCHEMES:
        known = CAMERA_SCHEMES | WEB_SCHEMES | RENDERERS.keys()
        raise InputError(f"expected a URL of {', '.join(sorted(known))}, found the protocol {shown(scheme)}")
    # FFmpeg knows its protocols in small letters only.
    url = scheme + url[len(scheme) :]
    return Stream(address_name(url), url, scheme)


def address_name(text: str) -> str:
    """Return `text`, the name of a source, as it may be printed: an address without password, and one word."""
    return without_passwords(re.sub(r"\s", "%20", text)) if "://" in text else text


def _matches(pattern: Path) -> Iterator[Path]:
    """Yield the files that `pattern` matches; folders that exist by their name are none, whatever letters it has."""
    folder = next(parent for parent in pattern.parents if parent.is_dir() or not parent.name)
    return folder.glob(str(pattern.relative_to(folder)))


def _images(name: str, paths: Iterable[Path], expected: str) -> ImageFiles:
    found = list(paths)
    images = tuple(sorted(filter(_is_image, found), key=_natural_order))
    if not images:
        raise InputError(f"expected {expected} ({', '.join(sorted(IMAGE_SUFFIXES))}), found none in {shown(name)}")
    return ImageFiles(name, images, sum(map(_is_video, found)))


def _is_image(path: Path) -> bool:
    return is_image_file(path) and path.is_file()


def _is_video(path: Path) -> bool:
    # As for images, what macOS keeps beside a file is left out.
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith("._") and path.is_file()


def _natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
