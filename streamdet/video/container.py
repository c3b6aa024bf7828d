"""Opens files, streams and webcams with PyAV and says what they hold."""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from streamdet.errors import InputError
from streamdet.types import VideoInfo
from streamdet.video.diagnosis import opening_error
from streamdet.video.location import CAMERA_SCHEMES, Playable, Stream, VideoFile, Webcam
from streamdet.video.rgb import quarter_turns

_WEBCAM_FORMATS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("vfwcap", "{}")}
# A playlist without end grows by whole segments, which last up to 10 s: silence in between is no failure.
_PLAYLIST_PATIENCE = 3
# A disk may have to start, and a network share to come back, before a local file opens or goes on.
FILE_TIMEOUT_S = 30.0
# FFmpeg shows any text file as a video of its letters.
_TEXT_FORMAT = "tty"


def open_container(location: Playable, timeout_s: float) -> InputContainer:
    """Open `location`; connecting and the first packets may each take `timeout_s`, as may every later read.

    A local file has `FILE_TIMEOUT_S` for each. Raises InputError.
    """
    since = time.monotonic()
    open_s, read_s = _timeouts_s(location, timeout_s)
    try:
        container: InputContainer = av.open(**_opening(location), timeout=(open_s, read_s))
    except (av.FFmpegError, ValueError) as error:
        raise opening_error(location, error, timed_out=time.monotonic() - since >= open_s) from error
    return container


def _timeouts_s(location: Playable, timeout_s: float) -> tuple[float, float]:
    """Return how long opening and each read may take."""
    if isinstance(location, VideoFile):
        return FILE_TIMEOUT_S, FILE_TIMEOUT_S
    is_playlist = isinstance(location, Stream) and ".m3u8" in location.url
    return timeout_s, _PLAYLIST_PATIENCE * timeout_s if is_playlist else timeout_s


def _opening(location: Playable) -> dict[str, Any]:
    """Return the arguments of ``av.open`` but the timeouts."""
    if isinstance(location, VideoFile):
        # With its prefix a name such as "12:30.mp4" is no protocol; the whitelist keeps playlists off the network.
        return {"file": f"file:{location.path}", "options": {"protocol_whitelist": "file"}}
    if isinstance(location, Webcam):
        kind, device = _WEBCAM_FORMATS.get(sys.platform, _WEBCAM_FORMATS["linux"])
        return {"file": device.format(location.index), "format": kind}
    options = {"rtsp_transport": "tcp"} if location.scheme.startswith("rtsp") else {}
    return {"file": location.url, "options": options}


def video_stream(container: InputContainer, name: str) -> av.VideoStream:
    """Return the stream that FFmpeg itself would play; cover art is no video. Raises InputError when there is none."""
    if container.format.name == _TEXT_FORMAT:
        raise InputError(f"expected a video, but {name} is text")
    best = container.streams.best("video")
    for stream in (best, *container.streams.video) if best is not None else ():
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise InputError(f"expected a video, but {name} holds no video stream that can be decoded (only {kinds})")


def is_live(location: Playable, container: InputContainer) -> bool:
    """Whether the video is made while it is read: cameras, and what comes over HTTP without length or end."""
    if isinstance(location, VideoFile):
        return False
    if isinstance(location, Webcam) or location.scheme in CAMERA_SCHEMES:
        return True
    # The size of a playlist says nothing about its video.
    endless = container.format.name == "hls" or (container.size or 0) <= 0
    return endless and container.duration is None


def describe(container: InputContainer, stream: av.VideoStream, first: av.VideoFrame, *, live: bool) -> VideoInfo:
    """Return what is known before the second frame; width, height and aspect ratio are those of the upright picture."""
    rate = next((rate for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= 1000), None)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = first.width, first.height
    if quarter_turns(first) % 2:
        width, height, aspect = height, width, 1 / aspect
    count = None if live else _frame_count(container, stream, rate)
    return VideoInfo(width, height, rate, count, live, aspect)


def _frame_count(container: InputContainer, stream: av.VideoStream, rate: Fraction | None) -> int | None:
    estimate = round(container.duration * rate / av.time_base) if container.duration and rate else None
    # A fragmented file declares the frames of its first fragment only.
    if stream.frames and (estimate is None or 2 * stream.frames > estimate):
        return int(stream.frames)
    return estimate
