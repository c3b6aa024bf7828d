"""Lists that stand for a video: which formats of FFmpeg are lists, who may open them, and what they may name.

A list makes FFmpeg open other files, or read what never ends. So a local file is taken for a list only if its name says
so, and a list names videos, or lists of videos, and nothing further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

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
_DEPTH = 2  # a list of lists of segments


def options_for(kind: str | None) -> dict[str, str]:
    """Return the options of ``av.open`` by which no format opens other files except `kind`, None for none at all.

    What an HLS playlist names may be no playlist itself, and one without an end ends when it stops growing.
    """
    plain = _plain_formats()
    options = {"format_whitelist": f"{plain},{kind}" if kind else plain}
    if kind == "hls":
        options["seg_format_options"] = f"format_whitelist={plain}"
    return options


def local_options(path: Path) -> dict[str, str]:
    """Return the options of ``av.open`` for the local file `path`; raises InputError for a list that names lists."""
    kind = LIST_FORMATS.get(path.suffix.lower())
    if kind is None:
        return options_for(None) | {"protocol_whitelist": "file"}
    _check(path, path, _DEPTH)
    # From the first segment on, and only to the last that is there: what a camera still writes is read once more.
    own = {"live_start_index": "0", "max_reload": "1"} if kind == "hls" else {"safe": "0"}
    return options_for(kind) | own | {"protocol_whitelist": "file,crypto"}


@cache
def _plain_formats() -> str:
    return ",".join(sorted(av.formats_available - _OPENING))


def _check(top: Path, path: Path, depth: int) -> None:
    """Raise InputError when the list at `path`, which `top` has led to, names lists over more than `depth` levels."""
    if depth == 0:
        raise InputError(f"expected a list of videos, but {top} names lists that name lists, such as {path.name!r}")
    for entry in set(_entries(path)):
        if _is_list(entry):
            _check(top, entry, depth - 1)


def _entries(path: Path) -> Iterator[Path]:
    """Yield the local files that the list at `path` names."""
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES).decode(errors="replace")
    for line in map(str.strip, text.splitlines()):
        if line.startswith("#"):
            names = re.findall(r'URI="([^"]*)"', line)
        else:
            names = [re.sub(r"^file\s+", "", line).strip("'\"")]
        yield from (path.parent / name.removeprefix("file:").split("?")[0] for name in names if name)


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(max(_HEADS, key=len))).startswith(_HEADS)
    except (OSError, ValueError):  # absent, or a name that no file can have
        return False
