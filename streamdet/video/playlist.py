"""Lists that stand for a video: which formats of FFmpeg are lists, who may open them, and what they may name.

A list makes FFmpeg open other files, or read what never ends. So a local file is taken for a list only if its name says
so, and a list names videos, or lists of videos, and nothing further.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import av

from streamdet.errors import InputError

# Ending -> the format by which a local list is read.
LIST_FORMATS = {".m3u8": "hls", ".m3u": "hls", ".ffconcat": "concat"}
# Formats of FFmpeg that open further files or addresses, or make pictures out of none.
_OPENING = frozenset(
    {"concat", "dash", "hls", "image2", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp", "vobsub", "webm_dash_manifest"}
)
_HEADS = (b"#EXTM3U", b"ffconcat version")
_MOST_BYTES = 16 << 20
# Tags of HLS (RFC 8216, section 4.3): a segment follows; segments are encrypted; no segment follows any more.
_SEGMENT, _KEY, _END = "#EXTINF", "#EXT-X-KEY", "#EXT-X-ENDLIST"
_PROTOCOL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:")
_DEPTH = 2  # a list of lists of segments


def options_for(kind: str | None) -> dict[str, str]:
    """Return the options of ``av.open`` by which no format opens other files except `kind`, None for none at all.

    What an HLS playlist names may be no playlist itself.
    """
    plain = _plain_formats()
    options = {"format_whitelist": f"{plain},{kind}" if kind else plain}
    if kind == "hls":
        options["seg_format_options"] = f"format_whitelist={plain}"
    return options


def local_arguments(path: Path) -> dict[str, Any]:
    """Return arguments of ``av.open`` for the local file `path`; raises InputError for a list that names lists."""
    kind = LIST_FORMATS.get(path.suffix.lower())
    if kind is None:
        return {"options": options_for(None) | {"protocol_whitelist": "file"}}
    options = options_for(kind) | {"protocol_whitelist": "file,crypto"}
    lists = list(_lists(path, path, _DEPTH))
    if kind != "hls":
        return {"options": options | {"safe": "0"}}
    # Only FFmpeg can open encrypted segments; at the end it waits for further ones as long as segments are, but once.
    is_encrypted = any(_KEY in _text(each) for each in lists)
    options |= {"live_start_index": "0", "max_reload": "1"}
    return {"options": options} if is_encrypted else {"options": options, "io_open": _open_ended}


def has_no_end(path: Path) -> bool:
    """Return whether the local file `path` is a list that a camera may still extend, or leads to one."""
    if LIST_FORMATS.get(path.suffix.lower()) != "hls":
        return False
    texts = map(_text, _lists(path, path, _DEPTH))
    return any(_SEGMENT in text and _END not in text for text in texts)


def _open_ended(url: str, flags: int, options: dict[str, str]) -> BinaryIO:
    """Open a file for FFmpeg; a list ends with what it names now, so that FFmpeg does not wait for more.

    What is missing, or no local file, is empty: FFmpeg goes on with the next segment.
    """
    path = Path(url.removeprefix("file:"))
    try:
        if _is_list(path):
            return io.BytesIO(f"{_text(path)}\n{_END}\n".encode())
        return io.BytesIO() if _PROTOCOL.match(url) else path.open("rb")
    except OSError:
        return io.BytesIO()


@cache
def _plain_formats() -> str:
    return ",".join(sorted(av.formats_available - _OPENING))


def _lists(top: Path, path: Path, depth: int) -> Iterator[Path]:
    """Yield the list at `path`, which `top` has led to, and those that it names.

    Raises InputError when lists name lists over more than `depth` levels.
    """
    if depth == 0:
        raise InputError(f"expected a list of videos, but {top} names lists that name lists, such as {path.name!r}")
    yield path
    for entry in set(_entries(path)):
        if _is_list(entry):
            yield from _lists(top, entry, depth - 1)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode(errors="replace")


def _entries(path: Path) -> Iterator[Path]:
    """Yield the local files that the list at `path` names."""
    for line in map(str.strip, _text(path).splitlines()):
        if line.startswith("#"):
            names = re.findall(r'URI="([^"]*)"', line)
        else:
            names = [re.sub(r"^file\s+", "", line).strip("'\"")]
        yield from (path.parent / name.removeprefix("file:").split("?")[0] for name in names if name)


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(max(map(len, _HEADS))).startswith(_HEADS)
    except (OSError, ValueError):  # absent, or a name that no file can have
        return False
