"""Makes whole pictures of interlaced ones, which hold two fields: odd rows and even rows of different moments."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.filter import Graph

from streamdet.options import Deinterlace
from streamdet.video.picture import on_host


def deinterlaced(frames: Iterator[av.VideoFrame], choice: Deinterlace) -> Iterator[av.VideoFrame]:
    """Yield `frames`, those with two fields as whole pictures at the time of the first field.

    With "auto" these are the frames that are flagged as interlaced, with "on" all, with "off" none. From the first of
    them on each frame is yielded after the next one has been read, since the filter looks at both.
    """
    weaver: _Filter | None = None
    for frame in frames:
        if choice == "off" or (choice == "auto" and weaver is None and not frame.interlaced_frame):
            yield frame
            continue
        stored = on_host(frame)
        if weaver is not None and not weaver.takes(stored):
            yield from weaver.rest()
            weaver = None
        weaver = weaver or _Filter(stored, choice)
        yield from weaver.add(stored)
    if weaver is not None:
        yield from weaver.rest()


class _Filter:
    """FFmpeg's bwdif for frames of the size, format and colours of `frame`."""

    def __init__(self, frame: av.VideoFrame, choice: Deinterlace) -> None:
        self._layout = _layout(frame)
        self._graph = Graph()
        self._graph.threads = 1
        width, height, pixel_format, matrix, color_range = self._layout
        colors = f"pix_fmt={pixel_format}:colorspace={matrix}:range={color_range}"
        which = "all" if choice == "on" else "interlaced"
        self._graph.link_nodes(
            self._graph.add("buffer", f"video_size={width}x{height}:{colors}:time_base=1/1"),
            self._graph.add("bwdif", f"mode=send_frame:deint={which}"),
            self._graph.add("buffersink"),
        ).configure()

    def takes(self, frame: av.VideoFrame) -> bool:
        """Return whether `frame` is of the same kind."""
        return _layout(frame) == self._layout

    def add(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Yield the frames that `frame` completes."""
        self._graph.push(frame)
        yield from self._made()

    def rest(self) -> Iterator[av.VideoFrame]:
        """Yield what is left at the end."""
        self._graph.push(None)
        yield from self._made()

    def _made(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                found = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if found.pts is not None:
                found.pts //= 2  # bwdif counts fields
            yield found


def _layout(frame: av.VideoFrame) -> tuple[int, int, str, int, int]:
    return frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range)
