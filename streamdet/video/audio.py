"""Copies the sound of a video into another file, packet by packet, without decoding it."""

from __future__ import annotations

import io
from collections import deque
from fractions import Fraction

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer

from streamdet.errors import InputError
from streamdet.video.container import open_container, video_stream
from streamdet.video.location import ImageFiles, Playable, RenderedUrl, locate
from streamdet.video.timestamps import Clock

_TIMEOUT_S = 4.0
# The first packet of each audio stream is searched among this many audio packets; it is used to test the stream.
_LOOK_AHEAD = 1000
# ADTS (ISO/IEC 13818-7, section 6.2): a header before every frame of AAC, which begins with twelve ones.
_ADTS_MASK = 0xFFF0


class AudioCopy:
    """The audio streams of the file or URL `source` that a container of the format `kind` can hold.

    Times follow those of the video, also where the clock of the source jumps. Call ``attach`` once with the output,
    ``advance`` while its video is written, ``finish`` at its end, then ``close``.
    `warnings` names the streams that could not be copied, and why. Raises InputError when `source` cannot be opened.
    """

    def __init__(self, source: str, kind: str) -> None:
        self.warnings: list[str] = []
        location = locate(source)
        self._source = location.name
        if isinstance(location, ImageFiles | RenderedUrl):
            raise InputError(f"expected a video with sound, found images at {location.name}")
        self._input = _open(location)
        self._video = video_stream(self._input, location.name)
        self._clock = Clock(self._input, self._video)
        self._audio = list(self._input.streams.audio)
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._latest: dict[int, int] = {}
        self._packets = self._input.demux(self._video, *self._audio)
        self._waiting: deque[av.Packet] = deque()
        first = self._first_packets()
        self._audio = [stream for stream in self._audio if self._fits(stream, first.get(stream.index), kind)]

    @property
    def time_bases(self) -> list[Fraction]:
        """The time bases of the streams that are copied, s per tick."""
        return [stream.time_base or Fraction(1) for stream in self._audio]

    def attach(self, container: OutputContainer, origin: Fraction) -> None:
        """Add the streams to `container`, whose time 0 is `origin` s of the source."""
        self._container, self._origin = container, origin
        self._copies = {stream.index: container.add_stream_from_template(stream) for stream in self._audio}

    def advance(self, until: Fraction) -> None:
        """Copy the packets that begin before `until`, a time of the source in s."""
        while self._audio and (packet := self._next_packet()) is not None:
            self._read_up_to_jump(packet)
            if self._clock.time(packet) >= until:
                self._waiting.appendleft(packet)
                return
            self._copy(packet)

    def finish(self, end: Fraction) -> None:
        """Copy the rest of the sound.

        `end`, in s of the source, is where the video of the output ends. If the video of the source goes on after it,
        the output has been cut short, and its sound is cut at the same time.
        """
        self.advance(end)
        rest = []
        while self._audio and self._clock.video_s < end and (packet := self._next_packet()) is not None:
            rest.append(packet)
        for packet in rest:
            if self._clock.video_s < end or self._clock.time(packet) < end:
                self._copy(packet)

    def close(self) -> None:
        """Release the source."""
        self._input.close()

    def _first_packets(self) -> dict[int, av.Packet]:
        """Return the first packet of each audio stream by the stream's index; all packets read stay queued."""
        first: dict[int, av.Packet] = {}
        while len(first) < len(self._audio) and len(self._waiting) < _LOOK_AHEAD:
            packet = self._read_packet()
            if packet is None:
                break
            self._waiting.append(packet)
            first.setdefault(packet.stream.index, packet)
        return first

    def _fits(self, stream: av.AudioStream, first: av.Packet | None, kind: str) -> bool:
        """Return whether a container of `kind` can hold the stream, and add a warning if it cannot.

        The stream and its first packet are written to a file in memory: for some codecs the muxer refuses only when it
        writes the header or the index.
        """
        if not stream.rate:
            self.warnings.append(f"the sound of {self._source} begins too late to be recognized, and is left out")
            return False
        if first is not None and _is_adts(stream, first):
            # The headers are for streams; files hold what they say once.
            self._filters[stream.index] = BitStreamFilterContext("aac_adtstoasc", stream)
        try:
            trial = av.open(io.BytesIO(), "w", format=kind)
            copy = trial.add_stream_from_template(stream)
            trial.start_encoding()
            if first is not None:
                packet = av.Packet(bytes(first))
                packet.pts, packet.dts, packet.time_base = first.pts, first.dts, first.time_base
                packet.stream = copy
                trial.mux(packet)
            trial.close()
        except (av.FFmpegError, ValueError):
            codec = stream.codec_context.name if stream.codec_context else "unknown"
            text = f"the {codec} sound of {self._source} does not fit into {kind}; write to .mkv to keep it"
            self.warnings += [] if text in self.warnings else [text]
            return False
        return True

    def _next_packet(self) -> av.Packet | None:
        return self._waiting.popleft() if self._waiting else self._read_packet()

    def _read_packet(self) -> av.Packet | None:
        """Return the next audio packet of the source, None at its end; video packets only update `_video_until`."""
        try:
            for packet in self._packets:
                if packet.dts is None and packet.pts is None:
                    continue
                if packet.stream.index != self._video.index:
                    return packet
                self._clock.add(packet)
        except av.FFmpegError as error:
            self.warnings.append(f"the sound of {self._source} ends early: {error.strerror}")
        return None

    def _read_up_to_jump(self, packet: av.Packet) -> None:
        """Read on until the time of `packet` is known: near a jump of the clock sound may come before its pictures."""
        while self._clock.is_astray(packet) and len(self._waiting) < _LOOK_AHEAD:
            later = self._read_packet()
            if later is None:
                return
            self._waiting.append(later)

    def _copy(self, packet: av.Packet) -> None:
        stream = packet.stream
        if stream.index not in self._copies:
            return
        shift = round((self._clock.offset_s(packet) - self._origin) / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
        # Where recordings are joined the sound of the first may outlast its pictures.
        if packet.dts is not None:
            if packet.dts <= self._latest.get(stream.index, packet.dts - 1):
                return
            self._latest[stream.index] = packet.dts
        to_file = self._filters.get(stream.index)
        try:
            for changed in [packet] if to_file is None else to_file.filter(packet):
                changed.stream = self._copies[stream.index]
                self._container.mux(changed)
        except av.FFmpegError as error:
            self.warnings.append(f"the sound of {self._source} could not be copied: {error.strerror}")
            self._audio = []


def _open(location: Playable) -> InputContainer:
    """Open `location` so that the format of its sound is known, also where the sound begins late."""
    container = open_container(location, _TIMEOUT_S)
    if all(stream.rate for stream in container.streams.audio):
        return container
    container.close()
    return open_container(location, _TIMEOUT_S, thorough=True)


def _is_adts(stream: av.AudioStream, packet: av.Packet) -> bool:
    is_aac = stream.codec_context is not None and stream.codec_context.codec.canonical_name == "aac"
    return is_aac and int.from_bytes(bytes(packet)[:2], "big") & _ADTS_MASK == _ADTS_MASK
