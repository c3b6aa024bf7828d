"""Opens a source of any kind and yields its frames."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from types import TracebackType

from streamdet.errors import InputError
from streamdet.fields import takes
from streamdet.options import SourceOptions
from streamdet.types import Frame, ToDevice
from streamdet.video.animation import AnimationReader, is_animation
from streamdet.video.given import GivenReader
from streamdet.video.images import ImageReader
from streamdet.video.location import (
    RENDERERS,
    Given,
    GivenImages,
    Location,
    Pipe,
    Playable,
    RenderedUrl,
    Stream,
    VideoFile,
    Webcam,
    locate,
)
from streamdet.video.picture import ImageMaker, Reader
from streamdet.video.reader import ContainerReader

# A little longer than a read of a camera may take by the default of `open_source`.
CLOSE_TIMEOUT_S = 5.0


@takes(SourceOptions)
def open_source(source: Given, options: SourceOptions) -> Source:
    """Open a file, a folder or glob of images, a pipe ("-"), a webcam ("0"), a URL, or render a scene:// URL.

    Images may be given themselves: a list of paths or patterns, an array, a tensor or an image of Pillow, a batch
    (N, H, W, 3), or a list or iterator of them. A file that somebody else has sent is given as a
    `streamdet.video.location.VideoFile`, with limits. A live HLS playlist may take three times `timeout_s` for a frame,
    because it grows by whole segments. Raises InputError.
    """
    location = locate(source)
    if options.live and not isinstance(location, Stream | Pipe | Webcam):
        raise InputError(f"expected a web address or a pipe to be live, found {location.name}")
    reader = _open(location, options)
    # Sound and subtitles are read separately, which is impossible for a live source, and for a pipe.
    url = location.path if isinstance(location, VideoFile) else location.url if isinstance(location, Stream) else None
    audio_from = None if reader.info.live or url is None else str(url)
    every = 1 if options.every == "auto" else options.every
    return Source(reader, location.name, every=every, max_frames=options.max_frames, audio_from=audio_from)


class Source:
    """An iterator of `Frame`, and a context manager; images are uint8 (H, W, 3) RGB, C-contiguous.

    `info` is what the source declares; `id` is its name as the user wrote it, without a password; `audio_from` is the
    path or URL whose sound and subtitles belong to the video, or None. Iterating raises SourceError when a live stream
    stops.
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


def _open(location: Location, options: SourceOptions) -> Reader:
    if options.order != "rgb" and not isinstance(location, GivenImages):
        raise InputError(f"expected arrays for order {options.order!r}, found {location.name}, whose colours are known")
    if isinstance(location, Playable):
        return ContainerReader(location, options)
    if options.decode == "cuda":
        found = "a video to render" if isinstance(location, RenderedUrl) else "images"
        raise InputError(f"expected a video for a GPU to decode, found {found} at {location.name}")
    if isinstance(location, GivenImages):
        return GivenReader(location, options)
    if isinstance(location, RenderedUrl):
        return _renderer(location)
    if len(location.paths) == 1 and is_animation(location.paths[0]):
        return AnimationReader(location.paths[0], location.name, options.max_pixels)
    return ImageReader(location, options)


def _renderer(location: RenderedUrl) -> Reader:
    module, name = RENDERERS[location.scheme]
    reader: Reader = getattr(import_module(module), name)(location)
    return reader


def _frames(reader: Reader, make_image: ImageMaker, name: str, every: int) -> Iterator[Frame]:
    for index, picture in enumerate(reader.pictures()):
        if index % every == 0:
            image, on_device = make_image(picture)
            arrived_s = time.monotonic() if picture.arrived_s is None else picture.arrived_s
            known = picture.captured_at, picture.clock
            yield Frame(index, picture.pts, picture.time_base, image, name, arrived_s, on_device, *known)
