"""Copies the sound and the subtitles of a video into another file, packet by packet, without decoding them."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.subtitles.stream import SubtitleStream

from streamdet.errors import InputError
from streamdet.video.container import open_container, video_stream
from streamdet.video.location import Playable, locate
from streamdet.video.timestamps import Clock

_CopiedStream: TypeAlias = av.AudioStream | SubtitleStream

_TIMEOUT_S = 4.0
# The first packet of each audio stream is searched among this many packets; it is used to test the stream.
_LOOK_AHEAD = 1000
# Packets of anything else that are passed at a time in search of sound. A file may declare sound that it does not hold,
# and have millions of packets, while a run can be stopped only between two pictures.
_MOST_PASSED = 100_000
# By how much the packets of two streams may be out of order.
_INTERLEAVED_S = 1
# ADTS (ISO/IEC 13818-7, section 6.2): a header before every frame of AAC, which begins with twelve ones.
_ADTS_MASK = 0xFFF0
_NOUNS = {"audio": "sound", "subtitle": "subtitles"}
# Ending -> container format: the first of them that can hold a stream is recommended where another cannot.
_ROOMY = {".mkv": "matroska", ".mp4": "mp4"}
# What players show of a stream.
_TAGS = ("language", "title")
# A sample of MPEG-4 timed text (3GPP TS 26.245) without text, which ends the text before it.
_NO_TEXT = b"\0\0"


class StreamCopy:
    """The audio and subtitle streams of the file or URL `source` that a container of the format `kind` can hold.

    Times follow those of the video, also where the clock of the source jumps. Call ``attach`` once with the output,
    ``advance`` while its video is written, ``finish`` at its end, then ``close``.
    `warnings` names the streams that could not be copied, and why. Raises InputError when `source` cannot be opened.
    """

    def __init__(self, source: str, kind: str) -> None:
        self.warnings: list[str] = []
        location = locate(source)
        self._source = location.name
        if not isinstance(location, Playable):
            raise InputError(f"expected a video with sound, found images at {location.name}")
        self._input = _open(location)
        self._video = video_stream(self._input, location.name)
        self._clock = Clock(self._input, self._video)
        self._streams: list[_CopiedStream] = [*self._input.streams.audio, *self._input.streams.subtitles]
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._latest: dict[int, int] = {}
        self._copies: dict[int, _CopiedStream] = {}
        self._indices = {stream.index for stream in self._streams}
        self._packets = self._input.demux()  # of all streams: none is to be passed over without a limit
        self._waiting: deque[av.Packet] = deque()
        self._passed = 0
        first = self._first_packets({stream.index for stream in self._input.streams.audio})
        self._streams = [stream for stream in self._streams if self._fits(stream, first.get(stream.index), kind)]

    @property
    def time_bases(self) -> list[Fraction]:
        """The time bases of the streams that are copied, s per tick."""
        return [stream.time_base or Fraction(1) for stream in self._streams]

    def attach(self, container: OutputContainer, origin: Fraction) -> None:
        """Add the streams to `container`, whose time 0 is `origin` s of the source."""
        self._container, self._origin = container, origin
        for stream in self._streams:
            copy = container.add_stream_from_template(stream)
            copy.disposition = stream.disposition
            copy.metadata.update({name: stream.metadata[name] for name in _TAGS if name in stream.metadata})
            self._copies[stream.index] = copy

    def advance(self, until: Fraction) -> None:
        """Copy the packets that begin before `until`, a time of the source in s."""
        self._passed = 0
        while self._copies and (packet := self._next_packet()) is not None:
            self._read_up_to_jump(packet)
            if self._clock.time(packet) >= until:
                self._waiting.appendleft(packet)
                return
            self._copy(packet)

    def finish(self, end: Fraction, stopped: Callable[[], bool]) -> None:
        """Copy the rest of the streams, which may be hours of sound, until it is `stopped`.

        `end`, in s of the source, is where the video of the output ends. If the video of the source goes on after it,
        the output has been cut short, and its other streams are cut at the same time.
        """
        self.advance(end)
        rest: list[av.Packet] = []
        while self._copies and self._clock.video_s < end and (packet := self._next_packet()) is not None:
            rest.append(packet)
            if stopped() and self._clock.time(packet) > end + _INTERLEAVED_S:
                break
        for packet in rest:
            if stopped() and self._clock.time(packet) > end + _INTERLEAVED_S:
                return
            if self._clock.video_s < end or self._clock.time(packet) < end:
                self._copy(packet)

    def close(self) -> None:
        """Release the source."""
        self._input.close()

    def _first_packets(self, wanted: set[int]) -> dict[int, av.Packet]:
        """Return the first packet of each stream whose index is `wanted`, by its index; packets read stay queued."""
        first: dict[int, av.Packet] = {}
        while not wanted <= first.keys() and len(self._waiting) < _LOOK_AHEAD:
            packet = self._read_packet()
            if packet is None:
                break
            self._waiting.append(packet)
            first.setdefault(packet.stream.index, packet)
        return first

    def _fits(self, stream: _CopiedStream, first: av.Packet | None, kind: str) -> bool:
        """Return whether a container of `kind` can hold the stream, and add a warning if it cannot."""
        if isinstance(stream, av.AudioStream):
            if not stream.rate or (first is None and self._passed >= _MOST_PASSED):
                self.warnings.append(f"the sound of {self._source} begins too late to be recognized, and is left out")
                return False
            if first is None and len(self._waiting) < _LOOK_AHEAD:
                return False  # the file has ended, and held none of it
            if first is not None and _is_adts(stream, first):
                # The headers are for streams; files hold what they say once.
                self._filters[stream.index] = BitStreamFilterContext("aac_adtstoasc", stream)
        if _can_hold(kind, stream, first):
            return True
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
        better = [ending for ending, other in _ROOMY.items() if other != kind and _can_hold(other, stream, first)]
        hint = f", but {better[0]} can" if better else ""
        text = f"{kind} cannot hold the {codec} {_NOUNS[stream.type]} of {self._source}{hint}"
        self.warnings += [] if text in self.warnings else [text]
        return False

    def _next_packet(self) -> av.Packet | None:
        return self._waiting.popleft() if self._waiting else self._read_packet()

    def _read_packet(self) -> av.Packet | None:
        """Return the next packet that may be copied, None at the end or if none is near; the video sets the clock."""
        try:
            for packet in self._packets:
                is_timed = packet.dts is not None or packet.pts is not None
                if is_timed and packet.stream.index in self._indices:
                    return packet
                if is_timed and packet.stream.index == self._video.index:
                    self._clock.add(packet)
                self._passed += 1
                if self._passed >= _MOST_PASSED:
                    return None
        except av.FFmpegError as error:
            nouns = " and ".join(dict.fromkeys(_NOUNS[stream.type] for stream in self._streams))
            self.warnings.append(f"copying the {nouns} of {self._source} ended early: {error.strerror}")
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
        # The muxer itself writes the samples that end a text.
        if stream.index not in self._copies or (stream.type == "subtitle" and bytes(packet) == _NO_TEXT):
            return
        shift = round((self._clock.offset_s(packet) - self._origin) / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
        # Where recordings are joined the sound of the first may outlast its pictures.
        if packet.dts is not None:
            if packet.dts < self._latest.get(stream.index, packet.dts):
                return
            self._latest[stream.index] = packet.dts + (stream.type == "audio")
        to_file = self._filters.get(stream.index)
        try:
            for changed in [packet] if to_file is None else to_file.filter(packet):
                changed.stream = self._copies[stream.index]
                self._container.mux(changed)
        except av.FFmpegError as error:
            self.warnings.append(f"the {_NOUNS[stream.type]} of {self._source} could not be copied: {error.strerror}")
            del self._copies[stream.index]


def _open(location: Playable) -> InputContainer:
    """Open `location` so that the format of its sound is known, also where the sound begins late."""
    container = open_container(location, _TIMEOUT_S)
    if all(stream.rate for stream in container.streams.audio):
        return container
    container.close()
    return open_container(location, _TIMEOUT_S, thorough=True)


def _can_hold(kind: str, stream: _CopiedStream, first: av.Packet | None) -> bool:
    """Return whether a container of `kind` can hold the stream.

    The stream and its `first` packet are written to a file in memory: for some codecs the muxer refuses only when it
    writes the header or the index.
    """
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
        return False
    return True


def _is_adts(stream: av.AudioStream, packet: av.Packet) -> bool:
    is_aac = stream.codec_context is not None and stream.codec_context.codec.canonical_name == "aac"
    return is_aac and int.from_bytes(bytes(packet)[:2], "big") & _ADTS_MASK == _ADTS_MASK
