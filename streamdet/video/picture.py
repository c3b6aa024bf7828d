"""Decoded pictures, their conversion to RGB when it is needed, and images that stay on the GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph

from streamdet.errors import StreamdetError
from streamdet.options import Levels
from streamdet.types import Clock, Planes, ToDevice, UInt8Array, VideoInfo
from streamdet.video.levels import LevelScaler
from streamdet.video.orientation import STORED, Orientation, orientation

# FFmpeg converts formats whose chroma samples share a plane by another routine, whose results are up to 91/255 away
# (measured on real clips). Separating the planes first, which loses nothing, gives the colours of separate planes.
_SEPARATE = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
# Matrix coefficients (ITU-T H.273, table 4) that FFmpeg converts from, unspecified ones included; YCgCo is ours.
_KNOWN_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
_BT709, _UNSPECIFIED, _BT601, _YCGCO, _BT2020 = 1, 2, 6, 8, 9
# Matrix -> the one most like it; those derived from the primaries (12, 13) have that of their primaries (table 2).
_NEAREST = {3: _UNSPECIFIED, 10: _BT2020, 11: _BT2020, 14: _BT2020, 15: _BT2020, 16: _YCGCO, 17: _YCGCO}
_BY_PRIMARIES = {5: _BT601, 6: _BT601, 7: _BT601, 9: _BT2020}
_FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG
_MAX_DIFFERENCE = 3  # of 255, between two conversions of one picture that round in their own ways


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture, shown at `pts` ticks of `time_base` s.

    `to_rgb` converts it to uint8 (H, W, 3) RGB. `planes` are its planes in GPU memory, None if it is on the host or has
    to be turned or mirrored. `arrived_s` is when it came from a live stream, as ``time.monotonic()``, None if unknown.
    """

    pts: int
    time_base: Fraction
    to_rgb: Callable[[], UInt8Array]
    planes: Planes | None = None
    captured_at: float | None = None
    clock: Clock = "arrival"
    arrived_s: float | None = None


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
    Grey frames of more than 8 bits are scaled by `levels`. A frame without an orientation of its own has `declared`,
    that of its stream. `replaced` is the code of the last matrix (ITU-T H.273, table 4) that was not known, so that
    another one was used; None if there was none.
    """

    def __init__(self, declared: Orientation = STORED, levels: Levels = "full") -> None:
        self.replaced: int | None = None
        self._declared = declared
        self._from_grey = LevelScaler(levels)
        self._graph = Graph()
        self._layout: tuple[int, int, str, int, int, str] | None = None

    def __call__(self, frame: av.VideoFrame) -> UInt8Array:
        """Return `frame` upright as uint8 (H, W, 3) RGB, C-contiguous; raises StreamdetError for unknown colours."""
        upright = orientation(frame)
        try:
            frame = on_host(frame)
            image = self._from_grey(_deep_grey(frame)) if _is_deep_grey(frame) else self._convert(frame)
        except av.FFmpegError as error:
            raise StreamdetError(f"cannot convert {frame.format.name} pictures to RGB: {error.strerror}") from error
        return (self._declared if upright == STORED else upright).apply(image)

    def _convert(self, frame: av.VideoFrame) -> UInt8Array:
        stored, matrix, color_range = int(frame.colorspace), self._matrix(frame), int(frame.color_range)
        # The planes of YCgCo are only brought to one size, for which FFmpeg wants a matrix that it knows.
        passed, made = (_BT601, "yuv444p") if matrix == _YCGCO else (matrix, "rgb24")
        layout = (frame.width, frame.height, frame.format.name, passed, color_range, made)
        if layout != self._layout:
            self._graph, self._layout = _graph(*layout), layout
        frame.colorspace = passed
        self._graph.push(frame)
        frame.colorspace = stored
        image = np.asarray(self._graph.pull().to_ndarray(), np.uint8)
        return _from_ycgco(image, full=color_range == _FULL_RANGE) if matrix == _YCGCO else image

    def _matrix(self, frame: av.VideoFrame) -> int:
        """Return the matrix to convert `frame` by: its own or, if that is not known, the one most like it."""
        matrix = int(frame.colorspace)
        if matrix in _KNOWN_MATRICES or matrix == _YCGCO:
            return matrix
        self.replaced = matrix
        return _NEAREST.get(matrix) or _BY_PRIMARIES.get(int(frame.color_primaries), _BT709)


def _is_deep_grey(frame: av.VideoFrame) -> bool:
    components = frame.format.components
    return len(components) == 1 and frame.format.name.startswith("gray") and components[0].bits > 8


def _deep_grey(frame: av.VideoFrame) -> npt.NDArray[np.uint16]:
    return np.asarray(frame.reformat(format="gray16le").to_ndarray(), np.uint16)


def _from_ycgco(planes: UInt8Array, *, full: bool) -> UInt8Array:
    """Return `planes`, (3, H, W) of Y, Cg and Co, as (H, W, 3) RGB: ITU-T H.273, section 8.3."""
    low, luma_span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    y = (planes[0].astype(np.float32) - low) * (255 / luma_span)
    cg, co = ((plane.astype(np.float32) - 128) * (255 / chroma_span) for plane in planes[1:])
    rgb = np.stack((y - cg + co, y + cg, y - cg - co), axis=2)
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)


def on_host(frame: av.VideoFrame) -> av.VideoFrame:
    """Return `frame` itself, or a copy in host memory if it is on a GPU."""
    if frame.sw_format is None:
        return frame
    found = frame.reformat(format=frame.sw_format.name)
    # PyAV does not copy them from a GPU: github.com/PyAV-Org/PyAV/issues/2231
    found.colorspace, found.color_range = frame.colorspace, frame.color_range
    return found


def _graph(width: int, height: int, pixel_format: str, colorspace: int, color_range: int, made: str) -> Graph:
    """Return the conversion of pictures of that size, format, matrix and range to the format `made`."""
    graph = Graph()
    # 768x432 8-bit takes one thread 0.1 ms; more threads would cost more than they save.
    graph.threads = 1
    planes = [graph.add("format", f"pix_fmts={_SEPARATE[pixel_format]}")] if pixel_format in _SEPARATE else []
    colors = f"pix_fmt={pixel_format}:colorspace={colorspace}:range={color_range}"
    graph.link_nodes(
        graph.add("buffer", f"video_size={width}x{height}:{colors}:time_base=1/1"),
        *planes,
        graph.add("scale"),
        graph.add("format", f"pix_fmts={made}"),
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
