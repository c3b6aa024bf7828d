"""Decodes one container (a file, a stream or a webcam) into pictures with growing timestamps."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from weakref import WeakSet

import av

from streamdet.errors import InputError
from streamdet.machine import core_count
from streamdet.options import Decode
from streamdet.video.container import (
    broken_error,
    ended_error,
    is_live,
    is_timeout,
    limit_pixels,
    open_container,
    silent_error,
    video_info,
    video_stream,
)
from streamdet.video.decoder import CudaDecoder, Decoder, HardwareError, ProvenDecoder, kept_planes
from streamdet.video.location import Playable, VideoFile
from streamdet.video.picture import Picture, RgbConverter, quarter_turns
from streamdet.video.timestamps import Completeness, Timestamps

# The readers of this process that are decoding: they share its cores.
_active: WeakSet[ContainerReader] = WeakSet()


class ContainerReader:
    """The `Reader` of a file, stream or webcam, which PyAV decodes.

    `damaged` counts packets and frames that could not be decoded or are flagged corrupt. Opening decodes the first
    frame, and raises InputError when nothing can be decoded. ``pictures`` raises SourceError when a live stream ends,
    or sends no video for `timeout_s`.

    With `decode` "auto" a GPU decodes the video if its pictures are exactly those of the CPU; "cuda" raises InputError
    if they are not, or if there is no GPU; "software" uses the CPU. When the GPU fails later, the CPU takes over: it
    reads a file again and yields the frames that are missing, and continues a live stream at its next key frame.
    """

    def __init__(self, location: Playable, timeout_s: float, decode: Decode = "auto") -> None:
        self._name = location.name
        self._local = isinstance(location, VideoFile)
        self._max_pixels = location.max_pixels if isinstance(location, VideoFile) else None
        first_frame_s = location.first_frame_s if isinstance(location, VideoFile) else None
        self._first_until_s = time.monotonic() + (math.inf if first_frame_s is None else first_frame_s)
        self._stopped = threading.Event()
        self._gpu_failure: str | None = None
        self._open = partial(open_container, location, timeout_s)
        self._container = self._open()
        try:
            self._live = is_live(location, self._container)
            self._patience_s = float(self._container.read_timeout or timeout_s)
            self._read_first(decode)
        except BaseException:
            self._container.close()
            raise

    def _start(self, decode: Decode) -> None:
        """Set up the decoding of the container, which has just been opened."""
        self.damaged = 0
        self._stream = video_stream(self._container, self._name)
        if self._max_pixels is not None:
            limit_pixels(self._stream, self._name, self._max_pixels)
        self._counted = self._container.format.name == "avi"
        # Frame threads decode files faster, but each of them holds back a frame.
        self._stream.thread_type = "SLICE" if self._live else "AUTO"
        self._completeness = Completeness(self._container, self._stream)
        self._decoder: Decoder = self._stream if decode == "software" else ProvenDecoder(self._stream, CudaDecoder)
        self._decoding = self._decode()

    def _read_first(self, decode: Decode) -> None:
        """Decode the first frame, and set all that depends on it."""
        self._start(decode)
        first = next(self._decoding, None)
        if first is None:
            in_time = "" if time.monotonic() < self._first_until_s else " in time"
            raise InputError(f"expected a video, but no frame of {self._name} could be decoded{in_time}")
        self._first_until_s = math.inf
        if decode == "cuda" and isinstance(self._decoder, ProvenDecoder) and self._decoder.refusal:
            raise InputError(f"expected a GPU to decode {self._name}, but {self._decoder.refusal}")
        if self._live:
            self.damaged = 0  # A stream joined between two key frames is undecodable until the second: no damage.
        self.info = video_info(self._container, self._stream, first, live=self._live)
        self._time_base = self._stream.time_base or Fraction(1, 90_000)
        self._turns = quarter_turns(first)
        self._frames = self._unbroken(chain([first], self._decoding))
        self._timestamps = self._new_timestamps(first)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem with the video so far."""
        loss = None if self._live else self._completeness.loss(self.damaged)
        repaired = self._timestamps.repaired
        texts = [f"{self._name} {loss}"] if loss else []
        if self._gpu_failure:
            texts.append(f"the CPU had to take over the decoding of {self._name} from the GPU: {self._gpu_failure}")
        return texts + ([f"{self._name} had {repaired} timestamps that did not grow"] if repaired else [])

    def pictures(self) -> Iterator[Picture]:
        """Yield every picture that can be decoded."""
        to_rgb = RgbConverter(self._turns)
        for frame in self._frames:
            if self._stopped.is_set():
                return
            pts = self._timestamps.next(self._stored_time(frame))
            planes = None if self._turns or quarter_turns(frame) else kept_planes(frame)
            yield Picture(pts, self._time_base, partial(to_rgb, frame), planes)

    def stop(self) -> None:
        """End `pictures` at the next packet; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Release the file or connection."""
        self._decoding.close()
        self._container.close()

    def _new_timestamps(self, first: av.VideoFrame) -> Timestamps:
        period = 1 / ((self.info.frame_rate or 30) * self._time_base)
        late = 0
        if self._counted:
            # A decoder that reorders frames returns the first one only after it has read a later packet.
            late = (self._stored_time(first) or 0) - (self._stream.start_time or 0)
        return Timestamps(round(period), restart=round(1 / self._time_base), offset=-late)

    def _stored_time(self, frame: av.VideoFrame) -> int | None:
        """Return the time of `frame` in ticks; AVI stores none: there the packet's position in the file counts."""
        ticks: int | None = frame.dts if self._counted or frame.pts is None else frame.pts
        return ticks

    def _unbroken(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Yield `frames`; if the GPU fails while it decodes a file, read it again on the CPU and yield the rest."""
        count = 0
        try:
            for frame in frames:
                count += 1
                yield frame
        except HardwareError:
            self._container.close()
            self._container = self._open()
            self._start("software")
            yield from islice(self._decoding, count, None)

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        """Yield the frames of the container, and count them; the reader is in `_active` meanwhile."""
        _active.add(self)
        self._stream.thread_count = _thread_count()
        try:
            for packet in self._packets():
                for frame in self._decode_packet(packet):
                    self.damaged += frame.is_corrupt
                    self._completeness.add_frame(frame)
                    yield frame
                if self._stopped.is_set() or time.monotonic() > self._first_until_s:
                    return
            self._completeness.end()
        finally:
            _active.discard(self)

    def _packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets of the video, and None after a damaged file's last one, to flush the decoder."""
        received_at = time.monotonic()
        try:
            for packet in self._container.demux():
                # After a read that timed out FFmpeg still returns the last packet; or only the sound continues.
                silent = self._live and time.monotonic() - received_at > self._patience_s
                if packet.stream.index == self._stream.index:
                    yield packet
                    received_at = time.monotonic()
                if silent:
                    raise silent_error(self._name, self._patience_s)
        except av.FFmpegError as error:
            if not self._local or is_timeout(error):
                raise broken_error(self._name, error, self._patience_s) from error
            self.damaged += 1
            yield None
        if self._live and not self._stopped.is_set():
            raise ended_error(self._name)

    def _decode_packet(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Return the frames that `packet` completes, none if it is damaged."""
        if packet is not None:
            self._completeness.add_packet(packet)
        try:
            return self._decode_with_fallback(packet)
        except av.FFmpegError:
            self.damaged += 1
            return []

    def _decode_with_fallback(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Decode `packet`; for a live stream the CPU replaces a GPU that fails."""
        try:
            return self._decoder.decode(packet)
        except HardwareError as failure:
            self._gpu_failure = str(failure)
            if not self._live:
                raise
            self._decoder = self._stream
            return self._decoder.decode(packet)


def _thread_count() -> int:
    """Return the number of decoding threads of the next reader, its share of the cores; 0 lets FFmpeg choose it."""
    readers = len(_active)
    return max(1, core_count() // readers) if readers > 1 else 0
