"""Decodes one container: a file, a stream or a webcam."""

from __future__ import annotations

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
from streamdet.video.completeness import Completeness
from streamdet.video.container import describe, is_live, open_container, video_stream
from streamdet.video.cuda import CudaDecoder, kept_planes
from streamdet.video.decoder import Decoder, HardwareError, ProvenDecoder
from streamdet.video.diagnosis import broken_error, ended_error, is_timeout, silent_error
from streamdet.video.location import Playable, VideoFile
from streamdet.video.picture import Picture
from streamdet.video.rgb import RgbConverter, quarter_turns
from streamdet.video.timestamps import Timestamps

# Those that decode in this process now: they share its cores.
_active: WeakSet[ContainerReader] = WeakSet()


class ContainerReader:
    """Pictures of one container in decode order.

    `damaged` counts packets and frames that could not be decoded or are flagged corrupt. Opening decodes the first
    frame, so that what cannot be decoded at all is an InputError. A live stream that ends, or sends no video for
    `timeout_s`, is a SourceError.

    With `decode` "auto" a GPU decodes what it decodes exactly as the CPU does; "cuda" raises InputError where none
    does. When it fails later on, the CPU reads a file again and gives what is missing, and takes over a live stream at
    its next key frame.
    """

    def __init__(self, location: Playable, timeout_s: float, decode: Decode = "auto") -> None:
        self._name = location.name
        self._local = isinstance(location, VideoFile)
        self._stopped = threading.Event()
        self._gpu_failure: str | None = None
        self._open = partial(open_container, location, timeout_s)
        self._container = self._open()
        try:
            self._live = is_live(location, self._container)
            self._patience_s = float(self._container.read_timeout or timeout_s)
            self._begin(decode)
        except BaseException:
            self._container.close()
            raise

    def _start(self, decode: Decode) -> None:
        """Prepare to decode the container, which has just been opened."""
        self.damaged = 0
        self._stream = video_stream(self._container, self._name)
        self._counted = self._container.format.name == "avi"
        # Frame threads decode files faster, but each of them holds back a frame.
        self._stream.thread_type = "SLICE" if self._live else "AUTO"
        self._completeness = Completeness(self._container, self._stream)
        self._decoder: Decoder = self._stream if decode == "software" else ProvenDecoder(self._stream, CudaDecoder)
        self._decoding = self._decode()

    def _begin(self, decode: Decode) -> None:
        self._start(decode)
        first = next(self._decoding, None)
        if first is None:
            raise InputError(f"expected a video, but no frame of {self._name} could be decoded")
        if decode == "cuda" and isinstance(self._decoder, ProvenDecoder) and self._decoder.refusal:
            raise InputError(f"expected a GPU to decode {self._name}, but {self._decoder.refusal}")
        if self._live:
            self.damaged = 0  # Who joins a stream between two key frames misses the first of them.
        self.info = describe(self._container, self._stream, first, live=self._live)
        self._time_base = self._stream.time_base or Fraction(1, 90_000)
        self._turns = quarter_turns(first)
        self._frames = self._unbroken(chain([first], self._decoding))
        self._timestamps = self._clock(first)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that was wrong with the video so far."""
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
            pts = self._timestamps.next(self._time_of(frame))
            planes = None if self._turns or quarter_turns(frame) else kept_planes(frame)
            yield Picture(pts, self._time_base, partial(to_rgb, frame), planes)

    def stop(self) -> None:
        """End `pictures` at the next packet; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Release the file or connection."""
        self._decoding.close()
        self._container.close()

    def _clock(self, first: av.VideoFrame) -> Timestamps:
        period = 1 / ((self.info.frame_rate or 30) * self._time_base)
        late = 0
        if self._counted:
            # A decoder that puts frames in order gives out the first when it has read a later packet.
            late = (self._time_of(first) or 0) - (self._stream.start_time or 0)
        return Timestamps(round(period), restart=round(1 / self._time_base), offset=-late)

    def _time_of(self, frame: av.VideoFrame) -> int | None:
        """Return the stored time in ticks; AVI stores none, only the place of a packet in the file."""
        ticks: int | None = frame.dts if self._counted or frame.pts is None else frame.pts
        return ticks

    def _unbroken(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Yield `frames`, and where a GPU fails in a file those that are missing, for which it is read again."""
        given = 0
        try:
            for frame in frames:
                given += 1
                yield frame
        except HardwareError:
            self._container.close()
            self._container = self._open()
            self._start("software")
            yield from islice(self._decoding, given, None)

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        _active.add(self)
        self._stream.thread_count = _thread_count()
        try:
            for packet in self._packets():
                for frame in self._frames_of(packet):
                    self.damaged += frame.is_corrupt
                    self._completeness.add_frame(frame)
                    yield frame
                if self._stopped.is_set():
                    return
            self._completeness.end()
        finally:
            _active.discard(self)

    def _packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets of the video, and None where the decoder has to give out what it holds back."""
        heard = time.monotonic()
        try:
            for packet in self._container.demux():
                # When a wait has timed out, FFmpeg still gives out the last packet; or only the sound goes on.
                silent = self._live and time.monotonic() - heard > self._patience_s
                if packet.stream.index == self._stream.index:
                    yield packet
                    heard = time.monotonic()
                if silent:
                    raise silent_error(self._name, self._patience_s)
        except av.FFmpegError as error:
            if not self._local or is_timeout(error):
                raise broken_error(self._name, error, self._patience_s) from error
            self.damaged += 1
            yield None
        if self._live and not self._stopped.is_set():
            raise ended_error(self._name)

    def _frames_of(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        if packet is not None:
            self._completeness.add_packet(packet)
        try:
            return self._decoded(packet)
        except av.FFmpegError:
            self.damaged += 1
            return []

    def _decoded(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        try:
            return self._decoder.decode(packet)
        except HardwareError as failure:
            self._gpu_failure = str(failure)
            if not self._live:
                raise
            self._decoder = self._stream
            return self._decoder.decode(packet)


def _thread_count() -> int:
    """Return how many threads the next of the active readers decodes with; 0, for a single one, leaves it to FFmpeg."""
    readers = len(_active)
    return max(1, core_count() // readers) if readers > 1 else 0
