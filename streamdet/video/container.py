"""Opens files, streams and webcams with PyAV, describes their video, and explains in one sentence what went wrong."""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from streamdet.errors import (
    InputError,
    SourceBroken,
    SourceEnded,
    SourceError,
    SourceRefused,
    SourceSilent,
    SourceUnreachable,
)
from streamdet.types import VideoInfo
from streamdet.video.location import CAMERA_SCHEMES, Playable, Stream, VideoFile, Webcam
from streamdet.video.picture import quarter_turns

# sys.platform -> FFmpeg's input device, and its name for a webcam's number.
_WEBCAM_FORMATS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("vfwcap", "{}")}
# A live playlist grows by whole segments of up to 10 s, with nothing to read in between: its timeout is longer.
_PLAYLIST_PATIENCE = 3
# Before a local file can be read, a disk may have to spin up, or a network share to reconnect.
FILE_TIMEOUT_S = 30.0
# FFmpeg decodes any text file as a video of its characters.
_TEXT_FORMAT = "tty"
_PADDING_PX = 128  # what FFmpeg's decoders may add to a side of a frame


def open_container(location: Playable, timeout_s: float) -> InputContainer:
    """Open `location`; connecting, reading the first packets and every later read may each take `timeout_s`.

    A local file has `FILE_TIMEOUT_S` instead. Raises InputError.
    """
    since = time.monotonic()
    open_s, read_s = _timeouts_s(location, timeout_s)
    try:
        container: InputContainer = av.open(**_open_arguments(location), timeout=(open_s, read_s))
    except (av.FFmpegError, ValueError) as error:
        raise _opening_error(location, error, timed_out=time.monotonic() - since >= open_s) from error
    return container


def _timeouts_s(location: Playable, timeout_s: float) -> tuple[float, float]:
    """Return the timeouts of opening and of each read."""
    if isinstance(location, VideoFile):
        return FILE_TIMEOUT_S, FILE_TIMEOUT_S
    is_playlist = isinstance(location, Stream) and ".m3u8" in location.url
    return timeout_s, _PLAYLIST_PATIENCE * timeout_s if is_playlist else timeout_s


def _open_arguments(location: Playable) -> dict[str, Any]:
    """Return the arguments of ``av.open``, except the timeouts."""
    if isinstance(location, VideoFile):
        # The prefix keeps FFmpeg from taking "12:30.mp4" for a protocol, the whitelist keeps playlists off the network.
        options = {"protocol_whitelist": "file"}
        if location.formats is not None:
            options["format_whitelist"] = ",".join(location.formats)
        return {"file": f"file:{location.path}", "options": options}
    if isinstance(location, Webcam):
        kind, device = _WEBCAM_FORMATS.get(sys.platform, _WEBCAM_FORMATS["linux"])
        return {"file": device.format(location.index), "format": kind}
    options = {"rtsp_transport": "tcp"} if location.scheme.startswith("rtsp") else {}
    return {"file": location.url, "options": options}


def video_stream(container: InputContainer, name: str) -> av.VideoStream:
    """Return the video stream that FFmpeg would play, cover art excepted; raises InputError when there is none."""
    if container.format.name == _TEXT_FORMAT:
        raise InputError(f"expected a video, but {name} is text")
    best = container.streams.best("video")
    for stream in (best, *container.streams.video) if best is not None else ():
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise InputError(f"expected a video, but {name} holds no video stream that can be decoded (only {kinds})")


def limit_pixels(stream: av.VideoStream, name: str, max_pixels: int) -> None:
    """Let no frame of `stream` be decoded that has more than `max_pixels`; raises InputError if the header says so."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels:
        raise InputError(f"expected frames of at most {max_pixels} pixels, but those of {name} are {width}x{height}")
    # The size may grow later on, which FFmpeg reports as damage. It counts pixels with the padding of rows and columns.
    padded = (width + _PADDING_PX) * (height + _PADDING_PX)
    stream.codec_context.options = {"max_pixels": str(max(max_pixels, padded))}


def is_live(location: Playable, container: InputContainer) -> bool:
    """Return whether the video is produced while it is read: from a camera, or over HTTP without length or end."""
    if isinstance(location, VideoFile):
        return False
    if isinstance(location, Webcam) or location.scheme in CAMERA_SCHEMES:
        return True
    # The size of an HLS playlist is that of a text file, not of its video.
    endless = container.format.name == "hls" or (container.size or 0) <= 0
    return endless and container.duration is None


def video_info(container: InputContainer, stream: av.VideoStream, first: av.VideoFrame, *, live: bool) -> VideoInfo:
    """Return what is known after the `first` frame; size and aspect ratio are those of the upright picture."""
    rate = next((rate for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= 1000), None)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = first.width, first.height
    if quarter_turns(first) % 2:
        width, height, aspect = height, width, 1 / aspect
    count = None if live else _frame_count(container, stream, rate)
    return VideoInfo(width, height, rate, count, live, aspect)


def _frame_count(container: InputContainer, stream: av.VideoStream, rate: Fraction | None) -> int | None:
    estimate = round(container.duration * rate / av.time_base) if container.duration and rate else None
    # A fragmented file declares only the frames of its first fragment.
    if stream.frames and (estimate is None or 2 * stream.frames > estimate):
        return int(stream.frames)
    return estimate


def ended_error(name: str) -> SourceEnded:
    """Return the error to raise when the live stream `name` was ended by its server."""
    return SourceEnded(f"expected {name} to go on, but the stream ended")


def silent_error(name: str, waited_s: float) -> SourceSilent:
    """Return the error to raise when the live stream `name` has sent no frame for `waited_s`."""
    return SourceSilent(f"expected {name} to go on, but no frame came for {waited_s:g} s")


def broken_error(name: str, error: Exception, waited_s: float) -> SourceError:
    """Return the error to raise when reading from `name` failed with `error`; a read may take `waited_s`."""
    if is_timeout(error):
        return silent_error(name, waited_s)
    return SourceBroken(f"expected {name} to go on, but the stream broke off ({_reason(error)})")


def is_timeout(error: Exception) -> bool:
    """Return whether `error` is what PyAV raises when a read took longer than its timeout."""
    return isinstance(error, av.error.ExitError | av.error.TimeoutError)


def _opening_error(location: Playable, error: Exception, *, timed_out: bool) -> InputError:
    """Return the error to raise when opening `location` failed with `error`, or took longer than its timeout."""
    if isinstance(location, VideoFile):
        if timed_out or is_timeout(error):
            return SourceUnreachable(f"expected a video file, but {location.name} did not answer in time")
        return InputError(_file_reason(location, error))
    if isinstance(location, Webcam):
        return SourceUnreachable(
            f"expected {location.name}, found no such camera that can be opened ({_reason(error)})"
        )
    refused = isinstance(error, av.error.HTTPClientError) and not timed_out
    kind = SourceRefused if refused else SourceUnreachable
    return kind(f"expected a video stream at {location.name}, but {_network_reason(error, timed_out)}")


def _file_reason(location: VideoFile, error: Exception) -> str:
    if isinstance(error, av.error.PermissionError):
        return f"expected a video file that can be read, but access to {location.name} is denied"
    regular = location.path.is_file()
    if regular and not location.path.stat().st_size:
        return f"expected a video file, but {location.name} is empty (0 bytes)"
    if regular and _lacks_index(location.path):
        return (
            f"expected a complete video file, but {location.name} has no index ('moov' box): "
            "it was cut off before its recording or download was finished"
        )
    if location.formats is not None:
        return f"expected a video file, but {location.name} is none of the formats {', '.join(location.formats)}"
    return f"expected a video file, but {location.name} is none that FFmpeg can read ({_reason(error)})"


def _network_reason(error: Exception, timed_out: bool) -> str:
    # The type of the error is not enough: a handshake interrupted by the timeout looks like invalid data.
    if timed_out or is_timeout(error):
        return "it did not answer in time"
    if isinstance(error, av.error.ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return "it refused access: check the user name and password"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "the server knows no such stream (404 not found)"
    if isinstance(error, av.error.InvalidDataError):
        return "what the server sent is no video"
    if isinstance(error, av.error.OSError):
        return "it cannot be reached: check the host name and the network"
    return f"it could not be opened ({_reason(error)})"


def _reason(error: Exception) -> str:
    """Return the message of `error` without error number and file name, to end a sentence."""
    text = error.strerror if isinstance(error, av.FFmpegError | OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]


def _lacks_index(path: Path) -> bool:
    """Return whether `path` is an ISO media file (ISO/IEC 14496-12, section 4.2) without a 'moov' box."""
    kinds = []
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            size, kind = int.from_bytes(header[:4], "big"), header[4:8]
            kinds.append(kind)
            size = int.from_bytes(header[8:16], "big") if size == 1 else size
            if size < 8 or kinds[0] != b"ftyp":
                break
            file.seek(size - len(header), 1)
    return bool(kinds) and kinds[0] == b"ftyp" and b"moov" not in kinds
