"""A fake GPU: decoders of the CPU that return pictures in the layouts of a GPU."""

from collections.abc import Callable
from typing import Any

import av
import numpy as np

Spoil = Callable[[int, av.VideoFrame], av.VideoFrame]


def interleaved(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the samples of `frame` in nv12 or p010le with its times; colours and turning are lost on the way."""
    deep = frame.format.name == "yuv420p10le"
    found = av.VideoFrame(frame.width, frame.height, "p010le" if deep else "nv12")
    kind, shift = (np.uint16, 6) if deep else (np.uint8, 0)
    y, u, v = (_samples(plane, kind)[:, : plane.width] << shift for plane in frame.planes)
    luma, chroma = (_samples(plane, kind) for plane in found.planes)
    luma[:, : y.shape[1]] = y
    chroma[:, : 2 * u.shape[1] : 2], chroma[:, 1 : 2 * v.shape[1] : 2] = u, v
    found.pts, found.dts, found.time_base = frame.pts, frame.dts, frame.time_base
    return found


def _samples(plane: Any, kind: type) -> Any:
    return np.frombuffer(plane, kind).reshape(plane.height, -1)


class FakeGpu:
    """A stand-in for ``decoder._create_context``.

    It refuses to open (`opens` False), fails with `error` at the packet `fails_at` and at damaged pictures, or passes
    each frame, with its index, through `spoil`; frames come `late` packets later than from the CPU. `given` counts the
    frames that came from it.
    """

    def __init__(
        self,
        *,
        opens: bool = True,
        fails_at: int | None = None,
        late: int = 0,
        error: Exception | None = None,
        spoil: Spoil = lambda index, frame: frame,
    ) -> None:
        self.given = 0
        self.opens, self.fails_at, self.late, self.spoil = opens, fails_at, late, spoil
        self.error = error or av.ExternalError(0, "the GPU is gone")

    def __call__(self, video_format: str) -> "_Context":
        if not self.opens:
            raise av.PermissionError(1, "Operation not permitted")
        return _Context(self, av.CodecContext.create("libdav1d" if video_format == "av1" else video_format, "r"))


class _Context:
    """A decoder of the CPU, made by hand as that of a GPU is."""

    def __init__(self, gpu: FakeGpu, decoder: Any) -> None:
        self.__dict__.update(gpu=gpu, decoder=decoder, packets=0, ready=[])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.decoder, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.decoder, name, value)

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        self.__dict__["packets"] += 1
        if self.packets - 1 == self.gpu.fails_at:
            raise self.gpu.error
        for frame in self.decoder.decode(packet):
            if frame.is_corrupt:
                raise self.gpu.error
            self.ready.append(self.gpu.spoil(self.gpu.given, interleaved(frame)))
            self.gpu.given += 1
        kept = self.gpu.late if packet is not None else 0
        frames: list[av.VideoFrame] = self.ready[: len(self.ready) - kept]
        del self.ready[: len(frames)]
        return frames
