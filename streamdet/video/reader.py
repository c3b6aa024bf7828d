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
from streamdet.options import Decode, SourceOptions
from streamdet.video.arrivals import Arrivals
from streamdet.video.capture_clock import CaptureClock
from streamdet.video.container import UNTIMED_FORMATS, is_live, limit_size, open_container, video_info, video_stream
from streamdet.video.damage import Damage
from streamdet.video.decoder import CudaDecoder, Decoder, HardwareError, ProvenDecoder, kept_planes
from streamdet.video.deinterlace import deinterlaced
from streamdet.video.failures import broken_error, ended_error, is_timeout, without_address
from streamdet.video.location import Pipe, Playable, VideoFile
from streamdet.video.orientation import STORED, orientation
from streamdet.video.picture import Picture, RgbConverter
from streamdet.video.playlist import has_no_end
from streamdet.video.silence import Silence
from streamdet.video.timestamps import Completeness, Timestamps, is_plausible, longest_step_s, true_rate

# Packets of the video, and bytes in all, that are read ahead for their times; a packet takes more than its content.
_LOOK_AHEAD, _LOOK_AHEAD_BYTES, _PACKET_BYTES = 16, 64 << 20, 1024
_FINE = Fraction(1, 90_000)  # the ticks of MPEG
# The readers of this process that are decoding: they share its cores.
_active: WeakSet[ContainerReader] = WeakSet()


class ContainerReader:
    """The `Reader` of a file, stream or webcam, which PyAV decodes.

    `damaged` counts packets and frames that could not be decoded or are damaged. Damaged frames of a live stream are
    left out up to the next key frame, see `Damage`; those of a file are not. Opening decodes the first frame, and
    raises InputError when nothing can be decoded. ``pictures`` raises SourceError when a live stream ends, sends no
    video for the timeout, or none that can be decoded for four times as long.

    With the option `decode` "auto" a GPU decodes the video if its pictures are exactly those of the CPU; "cuda" raises
    InputError if they are not, or if there is no GPU; "software" uses the CPU. When the GPU fails later, the CPU takes
    over: it reads a file again and yields the frames that are missing, and continues a live stream at its next key
    frame.
    """

    def __init__(self, location: Playable, options: SourceOptions) -> None:
        decode, self._options = options.decode, options
        if isinstance(location, Pipe):
            if decode == "cuda":
                raise InputError(f"expected a file or stream for a GPU to decode, found the pipe {location.name}")
            decode = "software"  # since after a failure of the GPU it could not be read again
        self._name = location.name
        self._local = isinstance(location, VideoFile | Pipe)
        first_frame_s = location.first_frame_s if isinstance(location, VideoFile) else None
        self._first_until_s = time.monotonic() + (math.inf if first_frame_s is None else first_frame_s)
        self._stopped = threading.Event()
        self._gpu_failure: str | None = None
        self._open = partial(open_container, location, options.timeout_s, options.max_pixels, options.rtsp_transport)
        self._container = self._open()
        try:
            own_file = location.path if isinstance(location, VideoFile) and location.formats is None else None
            self._has_no_end = own_file is not None and has_no_end(own_file)
            self._live = options.live or is_live(location, self._container)
            copyable = self._container.streams.audio or self._container.streams.subtitles
            self._loses_streams = isinstance(location, Pipe) and bool(copyable)
            self._patience_s = float(self._container.read_timeout or options.timeout_s)
            self._read_first(decode)
        except BaseException:
            self._container.close()
            raise

    def _start(self, decode: Decode) -> None:
        """Set up the decoding of the container, which has just been opened."""
        self.damaged = 0
        self._stream = video_stream(self._container, self._name, self._options.stream)
        limit_size(self._stream, self._name, self._options.max_pixels)
        self._counted = self._container.format.name == "avi"
        # JPEG images in a row have no times; FFmpeg invents some.
        self._arriving = self._live and self._container.format.name in UNTIMED_FORMATS
        # Frame threads decode files faster, but each of them holds back a frame.
        self._stream.thread_type = "SLICE" if self._live else "AUTO"
        self._damage = Damage(self._stream, live=self._live)
        self._completeness = Completeness(self._container, self._stream)
        self._capture_clock = CaptureClock(self._container.format.name)
        self._decoder: Decoder = self._stream if decode == "software" else ProvenDecoder(self._stream, CudaDecoder)
        self._arrivals = Arrivals()
        demuxed = self._container.demux()
        self._demuxed: Iterator[av.Packet] = self._arrivals.timed(demuxed) if self._live else demuxed
        self._rate = self._true_rate()
        self._silence = Silence(self._name, self._patience_s)
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
        self.info = video_info(self._container, self._stream, first, self._rate, live=self._live)
        self._time_base = _FINE if self._arriving else self._stream.time_base or _FINE
        self._upright = orientation(first)
        self._to_rgb = RgbConverter(self._upright, self._options.levels)
        self._frames = deinterlaced(self._unbroken(chain([first], self._decoding)), self._options.deinterlace)
        self._timestamps = self._new_timestamps(first)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem with the video so far."""
        loss = None if self._live else self._completeness.loss(self.damaged)
        repaired = self._timestamps.repaired
        texts = [f"{self._name} {loss}"] if loss else []
        if self._has_no_end:
            texts.append(f"{self._name} has no end (#EXT-X-ENDLIST): it is read as far as it went when it was opened")
        if self._loses_streams:
            texts.append(f"sound and subtitles of {self._name} are not copied: a pipe can be read only once")
        if self._gpu_failure:
            texts.append(f"the CPU had to take over the decoding of {self._name} from the GPU: {self._gpu_failure}")
        if self._to_rgb.replaced is not None:
            code = self._to_rgb.replaced
            texts.append(f"the colours of {self._name} are near, but not exact: matrix {code} of H.273 is not known")
        if leaps := self._timestamps.leaps:
            times = "once" if leaps == 1 else f"{leaps} times"
            texts.append(f"the clock of {self._name} leaped forward {times}; the time in between is left out")
        return texts + ([f"{self._name} had {repaired} timestamps that did not grow"] if repaired else [])

    def pictures(self) -> Iterator[Picture]:
        """Yield every picture that can be decoded."""
        for frame in self._frames:
            if self._stopped.is_set():
                return
            pts = self._timestamps.next(self._stored_time(frame))
            as_stored = self._upright == orientation(frame) == STORED
            planes = kept_planes(frame) if as_stored else None
            times = (*self._capture_clock.time_of(frame.pts), self._arrivals.time_of(frame.pts))
            yield Picture(pts, self._time_base, partial(self._to_rgb, frame), planes, *times)

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
        leap_s = longest_step_s(self._container, float(period * self._time_base), live=self._live)
        return Timestamps(round(period), round(1 / self._time_base), leap=round(leap_s / self._time_base), offset=-late)

    def _true_rate(self) -> Fraction | None:
        """Return the frame rate in Hz: as declared, or by the times of the first packets where they disagree.

        A live stream is made to wait for them only if what it declares is not plausible.
        """
        if self._arriving:
            return None
        declared: tuple[Fraction | None, ...] = (self._stream.average_rate, self._stream.guessed_rate)
        if self._live and is_plausible(declared):
            return declared[0] or declared[1]
        packets = self._peek()
        ticks = [packet.dts if packet.pts is None else packet.pts for packet in packets if packet.size]
        return true_rate(declared, [t * self._stream.time_base for t in ticks if t is not None])

    def _peek(self) -> list[av.Packet]:
        """Return the first packets of the video, which are still to be decoded."""
        read: list[av.Packet] = []
        rest, found, nbytes = self._demuxed, [], 0
        try:
            for packet in rest:
                read.append(packet)
                found += [packet] if packet.stream.index == self._stream.index else []
                nbytes += packet.size + _PACKET_BYTES
                if len(found) >= _LOOK_AHEAD or nbytes >= _LOOK_AHEAD_BYTES:
                    break
        except av.FFmpegError as error:
            rest = _failing(error)
        self._demuxed = chain(read, rest)
        return found

    def _stored_time(self, frame: av.VideoFrame) -> int | None:
        """Return the time of `frame` in ticks.

        AVI stores none: there the packet's position in the file counts. Images from a camera have the time of arrival.
        """
        if self._arriving:
            return round(time.monotonic() / self._time_base)
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
        self._stream.thread_count = 1 if self._damage.needs_one_thread else _thread_count()
        try:
            for packet in self._packets():
                for frame in self._decode_packet(packet):
                    self._completeness.add_frame(frame)
                    is_left_out = self._damage.covers(frame)
                    self.damaged += is_left_out or frame.is_corrupt
                    if not is_left_out:
                        yield frame
                    self._silence.seen()
                if self._is_over():
                    return
            if not self._is_over():
                self._completeness.end()
        finally:
            _active.discard(self)

    def _is_over(self) -> bool:
        return self._stopped.is_set() or time.monotonic() > self._first_until_s

    def _packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets of the video, and None after a damaged file's last one, to flush the decoder."""
        try:
            for packet in self._demuxed:
                # After a read that timed out FFmpeg still returns the last packet; or only the sound continues.
                silence = self._silence.error() if self._live else None
                if packet.stream.index == self._stream.index:
                    yield packet
                    self._silence.heard()
                elif self._is_over():
                    return
                if silence is not None:
                    raise silence
        except av.FFmpegError as error:
            if not self._local or is_timeout(error):
                raise broken_error(self._name, error, self._patience_s) from without_address(error)
            self.damaged += 1
            yield None
        if self._live and not self._stopped.is_set():
            raise ended_error(self._name)

    def _decode_packet(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Return the frames that `packet` completes, none if it is damaged."""
        if packet is not None:
            self._completeness.add_packet(packet)
            self._capture_clock.add(packet)
            self._damage.add(packet)
        try:
            return self._decode_with_fallback(packet)
        except av.FFmpegError:
            self.damaged += 1
            self._damage.begin()
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


def _failing(error: Exception) -> Iterator[av.Packet]:
    """Return an iterator that raises `error`."""
    raise error
    yield


def _thread_count() -> int:
    """Return the number of decoding threads of the next reader, its share of the cores; 0 lets FFmpeg choose it."""
    readers = len(_active)
    return max(1, core_count() // readers) if readers > 1 else 0
