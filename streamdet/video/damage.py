"""Which frames of a live stream are damaged: those after an error or a loss, until the next key frame."""

from __future__ import annotations

import av

from streamdet.video.h264 import FrameNumbers

# The interval of key frames of slow cameras. A picture that is refreshed part by part, without any, has healed by then.
_LONGEST_S = 10


class Damage:
    """Tells whole frames of a `live` stream from damaged ones. Of a file nothing is left out.

    A loss is known where a packet is flagged corrupt, where the decoder meets an error or has to conceal one, and for
    H.264 also where a picture is missing that others refer to. The frames after it are damaged, since each is coded as
    its difference from earlier ones, up to the next key frame, or for 10 s. FFmpeg itself leaves out the frames of HEVC
    that refer to a missing picture, but does not tell which of them lack a part.
    """

    def __init__(self, stream: av.VideoStream, *, live: bool) -> None:
        context = stream.codec_context
        # FFmpeg notices that a part of a picture is missing where it conceals it, which it does in one thread only.
        self.needs_one_thread = live and context.name == "h264"
        self._numbers = FrameNumbers(context.extradata or b"") if self.needs_one_thread else None
        self._live = live
        self._longest = round(_LONGEST_S / stream.time_base) if stream.time_base else 0
        self._is_damaged = False
        self._since: int | None = None  # the time of the first damaged frame after the last whole key frame
        self._key: int | None = None  # the time of the last packet of a key frame
        self._earlier: int | None = None  # the same when the damage began: a decoder may hold that frame back

    def add(self, packet: av.Packet) -> None:
        """Take note of the next packet, before it is decoded."""
        if packet.is_keyframe:
            self._key = packet.pts
        if packet.is_corrupt or (self._numbers and self._numbers.has_gap(bytes(packet))):
            self.begin()

    def begin(self) -> None:
        """Note that the last packet cannot be decoded, or not without what was lost ahead of it."""
        if not self._is_damaged:
            self._is_damaged, self._earlier = True, self._key

    def covers(self, frame: av.VideoFrame) -> bool:
        """Return whether the next frame, in order of display, is damaged."""
        if not self._live:
            return False
        if frame.is_corrupt and not self._is_damaged:
            self._is_damaged, self._earlier = True, None
        if self._is_damaged and frame.key_frame and not frame.is_corrupt and frame.pts != self._earlier:
            self._is_damaged, self._since = False, None
        if not self._is_damaged or frame.pts is None:
            return self._is_damaged
        if self._since is None:
            self._since = frame.pts
        self._is_damaged = abs(frame.pts - self._since) <= self._longest
        return self._is_damaged
