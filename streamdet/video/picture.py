"""Decoded pictures, their conversion to RGB when it is needed, and images that stay on the GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from av.filter import Graph

from streamdet.errors import StreamdetError
from streamdet.types import Planes, ToDevice, UInt8Array, VideoInfo
from streamdet.video.orientation import STORED, Orientation, orientation

# FFmpeg converts formats whose chroma samples share a plane by another routine, whose results are up to 91/255 away
# (measured on real clips). Separating the planes first, which loses nothing, gives the colours of separate planes.
_SEPARATE = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
_MAX_DIFFERENCE = 3  # of 255, between two conversions of one picture that round in their own ways


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture, shown at `pts` ticks of `time_base` s.

    `to_rgb` converts it to uint8 (H, W, 3) RGB. `planes` are its planes in GPU memory, None if it is on the host or has
    to be turned or mirrored.
    """

    pts: int
    time_base: Fraction
    to_rgb: Callable[[], UInt8Array]
    planes: Planes | None = None


class Reader(Protocol):
    """An open file, stream, webcam, sequence of images or rendered scene; `damaged` counts what was not decodable."""

    info: VideoInfo
    damaged: int

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem so far."""

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures in decode order; raises SourceError when a stream stops before its end."""

    def stop(self) -> None:
        """End `pictures` soon; may be called from any thread."""

    def close(self) -> None:
        """Release all resources."""


class RgbConverter:
    """Converts frames to RGB with FFmpeg's own conversion, a filter graph, which is rebuilt when their format changes.

    ``VideoFrame.to_ndarray`` of PyAV 18 ignores the positions of the chroma samples of 10-bit video, and at sharp edges
    is up to 116/255 away from FFmpeg's result (measured); the graph is exact, and no slower than a bare scaler call.
    A frame without an orientation of its own has `declared`, that of its stream.
    """

    def __init__(self, declared: Orientation = STORED) -> None:
        self._declared = declared
        self._graph = Graph()
        self._layout: tuple[int, int, str, int, int] | None = None

    def __call__(self, frame: av.VideoFrame) -> UInt8Array:
        """Return `frame` upright as uint8 (H, W, 3) RGB, C-contiguous; raises StreamdetError for unknown colours."""
        upright = orientation(frame)
        try:
            frame = _on_host(frame)
            layout = (frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range))
            if layout != self._layout:
                self._graph, self._layout = _graph(*layout), layout
            self._graph.push(frame)
            image = self._graph.pull().to_ndarray()
        except av.FFmpegError as error:
            raise StreamdetError(f"cannot convert {frame.format.name} pictures to RGB: {error.strerror}") from error
        return (self._declared if upright == STORED else upright).apply(np.asarray(image, np.uint8))


def _on_host(frame: av.VideoFrame) -> av.VideoFrame:
    """Return `frame` itself, or a copy in host memory if it is on a GPU."""
    if frame.sw_format is None:
        return frame
    found = frame.reformat(format=frame.sw_format.name)
    # PyAV does not copy them from a GPU: github.com/PyAV-Org/PyAV/issues/2231
    found.colorspace, found.color_range = frame.colorspace, frame.color_range
    return found


def _graph(width: int, height: int, pixel_format: str, colorspace: int, color_range: int) -> Graph:
    graph = Graph()
    # 768x432 8-bit takes one thread 0.1 ms; more threads would cost more than they save.
    graph.threads = 1
    planes = [graph.add("format", f"pix_fmts={_SEPARATE[pixel_format]}")] if pixel_format in _SEPARATE else []
    colors = f"pix_fmt={pixel_format}:colorspace={colorspace}:range={color_range}"
    graph.link_nodes(
        graph.add("buffer", f"video_size={width}x{height}:{colors}:time_base=1/1"),
        *planes,
        graph.add("scale"),
        graph.add("format", "pix_fmts=rgb24"),
        graph.add("buffersink"),
    ).configure()
    return graph


class ImageMaker:
    """Converts pictures to images on the host and, with `to_device`, on the GPU that decoded them.

    The first image of `to_device` is compared with that of the CPU; if they differ, `to_device` is not used any more.
    """

    def __init__(self) -> None:
        self.to_device: ToDevice | None = None
        self._proven = False

    def __call__(self, picture: Picture) -> tuple[UInt8Array, Any]:
        """Return the image of `picture` on the host, uint8 (H, W, 3) RGB, and as a tensor on the GPU or None."""
        made = self.to_device(picture.planes) if self.to_device and picture.planes else None
        if made is None:
            return picture.to_rgb(), None
        if not self._proven:
            image = picture.to_rgb()
            if np.abs(image.astype(np.int16) - made[0]).max() > _MAX_DIFFERENCE:
                self.to_device = None
                return image, None
            self._proven = True
        return made
