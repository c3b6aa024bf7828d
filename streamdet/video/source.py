"""Opens a source of any kind and yields its frames."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import get_args

from streamdet.errors import InputError, shown
from streamdet.options import Decode
from streamdet.types import Frame, ToDevice
from streamdet.video.images import ImageReader
from streamdet.video.location import RENDERERS, ImageFiles, Location, RenderedUrl, Stream, VideoFile, locate
from streamdet.video.picture import ImageMaker, Reader
from streamdet.video.reader import ContainerReader

# A little longer than a read of a camera may take by the default of `open_source`.
CLOSE_TIMEOUT_S = 5.0


def open_source(
    source: str | int | Path | VideoFile,
    *,
    timeout_s: float = 4.0,
    every: int = 1,
    max_frames: int | None = None,
    decode: Decode = "auto",
) -> Source:
    """Open a file, a folder or glob of images, a webcam ("0"), an rtsp, rtmp or http(s) URL, or render a scene:// URL.

    A file that somebody else has sent is given as a `streamdet.video.location.VideoFile`, with limits.

    - `timeout_s` limits each wait for a camera or server: for the connection, for the first packets (so that opening
      takes at most twice as long) and for every later frame. A live HLS playlist has three times as long for a frame,
      because it grows by whole segments.
    - `every`: only every `every`-th frame is yielded.
    - `max_frames`: at most this many frames are yielded.
    - `decode`: "auto" decodes on an NVIDIA GPU if its pictures are exactly those of the CPU, "cuda" demands that,
      "software" decodes on the CPU.

    Raises InputError.
    """
    if every < 1 or (max_frames is not None and max_frames < 1):
        raise InputError(f"expected every and max_frames to be at least 1, found {every} and {max_frames}")
    if decode not in get_args(Decode):
        raise InputError(f"expected decode to be one of {', '.join(get_args(Decode))}, found {shown(decode)}")
    location = locate(source)
    reader = _open(location, timeout_s, decode)
    # Sound is read separately, which is impossible for a live source.
    url = location.path if isinstance(location, VideoFile) else location.url if isinstance(location, Stream) else None
    audio_from = None if reader.info.live or url is None else str(url)
    return Source(reader, location.name, every=every, max_frames=max_frames, audio_from=audio_from)


class Source:
    """An iterator of `Frame`, and a context manager; images are uint8 (H, W, 3) RGB, C-contiguous.

    `info` is what the source declares; `id` is its name as the user wrote it, without a password; `audio_from` is the
    path or URL whose sound belongs to the video, or None. Iterating raises SourceError when a live stream stops.
    """

    def __init__(
        self, reader: Reader, name: str, *, every: int, max_frames: int | None, audio_from: str | None
    ) -> None:
        self.id, self.info, self.audio_from = name, reader.info, audio_from
        self._reader = reader
        self._make_image = ImageMaker()
        self._frames = itertools.islice(_frames(reader, self._make_image, name, every), max_frames)
        self._reading = threading.Lock()
        self._closing = self._closed = False

    @property
    def damaged(self) -> int:
        """The number of packets, frames or images so far that could not be decoded or are flagged corrupt."""
        return self._reader.damaged

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem with the video so far."""
        return self._reader.warnings

    def keep_on_device(self, to_device: ToDevice | None) -> None:
        """Convert pictures in GPU memory with `to_device`, which keeps an image there; None: on the host only."""
        self._make_image.to_device = to_device

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        try:
            with self._reading:
                if self._closing:
                    raise StopIteration
                return next(self._frames)
        finally:
            if self._closing:
                self._release(wait_s=0)

    def stop(self) -> None:
        """End the iteration after the current frame, without waiting; may be called from any thread."""
        self._reader.stop()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Stop and release everything; return whether everything is released. May be called again.

        Waits at most `timeout_s` for a read in progress. If it takes longer, the thread that reads releases everything
        once the read returns.
        """
        self._closing = True
        self.stop()
        return self._release(wait_s=timeout_s)

    def _release(self, wait_s: float) -> bool:
        """Close the reader unless a read is in progress for longer than `wait_s`; return whether it is closed."""
        if not self._reading.acquire(timeout=wait_s):
            return False
        try:
            if not self._closed:
                self._closed = True
                self._reader.close()
        finally:
            self._reading.release()
        return True

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Frees the camera of an abandoned source at once, and not when the reader is garbage collected.
        self.close(timeout_s=0)


def _open(location: Location, timeout_s: float, decode: Decode) -> Reader:
    if not isinstance(location, ImageFiles | RenderedUrl):
        return ContainerReader(location, timeout_s, decode)
    if decode == "cuda":
        found = "images" if isinstance(location, ImageFiles) else "a video to render"
        raise InputError(f"expected a video for a GPU to decode, found {found} at {location.name}")
    return ImageReader(location) if isinstance(location, ImageFiles) else _renderer(location)


def _renderer(location: RenderedUrl) -> Reader:
    module, name = RENDERERS[location.scheme]
    reader: Reader = getattr(import_module(module), name)(location)
    return reader


def _frames(reader: Reader, make_image: ImageMaker, name: str, every: int) -> Iterator[Frame]:
    for index, picture in enumerate(reader.pictures()):
        if index % every == 0:
            image, on_device = make_image(picture)
            yield Frame(index, picture.pts, picture.time_base, image, name, time.monotonic(), on_device)
