"""Decodes one container, a file, a stream or a webcam, into pictures with timestamps that only grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from weakref import WeakSet

import av
from av.container import InputContainer

from streamdet.errors import InputError
from streamdet.machine import core_count
from streamdet.options import Decode
from streamdet.video.container import (
    broken_error,
    ended_error,
    is_live,
    is_timeout,
    open_container,
    silent_error,
    video_info,
    video_stream,
)
from streamdet.video.decoder import CudaDecoder, Decoder, HardwareError, ProvenDecoder, kept_planes
from streamdet.video.location import Playable, VideoFile
from streamdet.video.picture import Picture, RgbConverter, quarter_turns


class Timestamps:
    """Repairs the timestamps of one stream as they come, in ticks of its time base.

    All of them are moved by `offset`. A missing one follows its predecessor by `period` ticks; a repeated or slightly
    earlier one becomes the next tick; after a jump back of more than `restart` ticks (a camera that restarted its
    clock) time goes on from where it was. `repaired` counts those that did not grow.
    """

    def __init__(self, period: int, restart: int, offset: int = 0) -> None:
        self.repaired = 0
        self._period, self._restart, self._offset = max(period, 1), restart, offset
        self._last: int | None = None

    def next(self, pts: int | None) -> int:
        """Return the timestamp of the next frame: `pts` itself wherever it can be kept."""
        self._last = self._place(pts)
        return self._last

    def _place(self, pts: int | None) -> int:
        if pts is None:
            return 0 if self._last is None else self._last + self._period
        placed = pts + self._offset
        if self._last is None or placed > self._last:
            return placed
        self.repaired += 1
        if self._last - placed <= self._restart:
            return self._last + 1
        self._offset = self._last + self._period - pts
        return pts + self._offset


# How much of a duration may be missing at the end: containers round it, and count the last frame differently.
_SLACK_S = 1.0


class Completeness:
    """Counts what comes out of one stream of a file and compares it with what the file says about itself.

    ISO media (mp4, mov) lists every sample, also those that an edit list hides; others tell a duration at most.
    """

    def __init__(self, container: InputContainer, stream: av.VideoStream) -> None:
        self._stream = stream
        self._lists_samples = "mp4" in container.format.name
        self._declared_s = _declared_duration_s(container, stream)
        self._read = self._hidden = self._decoded = 0
        self._end_s = 0.0
        self._expected: int | None = None
        self._ended = False

    def add_packet(self, packet: av.Packet) -> None:
        """Count a packet of the stream."""
        self._read += packet.size > 0
        self._hidden += packet.is_discard

    def add_frame(self, frame: av.VideoFrame) -> None:
        """Count a decoded frame."""
        self._decoded += 1
        if frame.pts is not None and self._stream.time_base:
            self._end_s = max(self._end_s, float(frame.pts * self._stream.time_base))

    def end(self) -> None:
        """The file has been read to its end; to be called before it is closed."""
        self._ended = True
        if self._lists_samples:
            self._expected = len(self._stream.index_entries)

    def loss(self, damaged: int) -> str | None:
        """Return what is missing, as the end of a sentence about the file, or None; `damaged` items were corrupt."""
        if self._expected is not None and self._decoded + self._hidden < self._expected:
            verb = "ends early" if self._read < self._expected else "is damaged"
            return f"{verb}: {self._decoded} of {self._expected - self._hidden} frames could be decoded"
        if self._ended and self._declared_s and self._end_s + _SLACK_S < self._declared_s:
            return f"ends early: {self._end_s:.1f} of {self._declared_s:.1f} s could be decoded"
        if damaged:
            return f"is damaged: {damaged} corrupt packets or frames, {self._decoded} frames could be decoded"
        return None


def _declared_duration_s(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Duration of the video itself: that of the whole file may be the sound's."""
    if stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if tag := stream.metadata.get("DURATION"):  # Matroska, HH:MM:SS.fraction
        hours, minutes, seconds = (Fraction(part) for part in tag.strip("\0 ").split(":"))
        return float(3600 * hours + 60 * minutes + seconds)
    if len(container.streams) == 1 and container.duration:
        return float(container.duration / av.time_base)
    return None


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
        self.info = video_info(self._container, self._stream, first, live=self._live)
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
