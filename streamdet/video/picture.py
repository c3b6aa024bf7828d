"""A decoded picture that is not yet converted, its conversion to RGB, and images that stay on the GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import cv2
import numpy as np
from av.filter import Graph

from streamdet.errors import StreamdetError
from streamdet.types import Planes, ToDevice, UInt8Array, VideoInfo


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture at `pts` ticks of `time_base` s; `to_rgb` converts it to uint8 (H, W, 3) RGB when it is wanted.

    `planes` are there where a GPU keeps it, and it needs no turn.
    """

    pts: int
    time_base: Fraction
    to_rgb: Callable[[], UInt8Array]
    planes: Planes | None = None


class Reader(Protocol):
    """A file, stream, webcam or row of images that has been opened."""

    info: VideoInfo
    damaged: int

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that was wrong so far."""

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures in decode order; raises SourceError when a stream stops before its end."""

    def stop(self) -> None:
        """End `pictures` soon; may be called from any thread."""

    def close(self) -> None:
        """Release what is open."""


# Chroma samples that share a plane go through another routine of FFmpeg, up to 91/255 away from that for separate
# planes (measured on real clips). Separated first, which loses nothing, they give the same colours.
_SEPARATE = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
_TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def quarter_turns(frame: av.VideoFrame) -> int:
    """Return how many quarter turns counter-clockwise, 0 to 3, bring `frame` upright for display."""
    return round(float(frame.rotation) / 90) % 4


class RgbConverter:
    """Converts frames through a filter graph, which costs no more than a bare scaler call.

    Measured with PyAV 18: for 10-bit video ``VideoFrame.to_ndarray`` ignores where the chroma samples lie and is up to
    116/255 away from what FFmpeg itself gives at sharp edges; the graph is exact, and rebuilt when the format changes.
    A frame that does not say how it is turned is turned by `turns` quarters counter-clockwise.
    """

    def __init__(self, turns: int = 0) -> None:
        self._turns = turns
        self._graph = Graph()
        self._layout: tuple[int, int, str, int, int] | None = None

    def __call__(self, frame: av.VideoFrame) -> UInt8Array:
        """Return `frame` upright as uint8 (H, W, 3) RGB, C-contiguous; raises StreamdetError for unknown colours."""
        turns = quarter_turns(frame) or self._turns
        try:
            frame = _on_host(frame)
            layout = (frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range))
            if layout != self._layout:
                self._graph, self._layout = _graph(*layout), layout
            self._graph.push(frame)
            image = self._graph.pull().to_ndarray()
        except av.FFmpegError as error:
            raise StreamdetError(f"cannot convert {frame.format.name} pictures to RGB: {error.strerror}") from error
        return np.ascontiguousarray(cv2.rotate(image, _TURNS[turns]) if turns else image)


def _on_host(frame: av.VideoFrame) -> av.VideoFrame:
    if frame.sw_format is None:
        return frame
    found = frame.reformat(format=frame.sw_format.name)
    # PyAV loses them on the way from a GPU: github.com/PyAV-Org/PyAV/issues/2231
    found.colorspace, found.color_range = frame.colorspace, frame.color_range
    return found


def _graph(width: int, height: int, pixel_format: str, colorspace: int, color_range: int) -> Graph:
    graph = Graph()
    # One thread: 0.1 ms for 768x432 8-bit, where a pool of threads would cost more than it saves.
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


_SAME_COLOURS = 3  # of 255: what two ways of rounding make of one picture


class ImageMaker:
    """Makes an image of a picture, and one on the device that decoded it if `to_device` does.

    That has to prove itself on its first picture, which must look as the CPU converts it.
    """

    def __init__(self) -> None:
        self.to_device: ToDevice | None = None
        self._proven = False

    def __call__(self, picture: Picture) -> tuple[UInt8Array, Any]:
        """Return the image uint8 (H, W, 3) RGB on the host, and on the device, or None."""
        made = self.to_device(picture.planes) if self.to_device and picture.planes else None
        if made is None:
            return picture.to_rgb(), None
        if not self._proven:
            image = picture.to_rgb()
            if np.abs(image.astype(np.int16) - made[0]).max() > _SAME_COLOURS:
                self.to_device = None
                return image, None
            self._proven = True
        return made
