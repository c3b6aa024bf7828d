"""Opens files, pipes, streams and webcams with PyAV, and describes their video."""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from functools import partial
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from streamdet.data.heif import is_tiled
from streamdet.data.image_header import announced_hw
from streamdet.errors import InputError
from streamdet.options import MAX_PIXELS, RtspTransport
from streamdet.types import VideoInfo
from streamdet.video.deadline import opened_within
from streamdet.video.failures import opening_error, without_address
from streamdet.video.location import CAMERA_SCHEMES, SDP_SCHEME, WEB_SCHEMES, Pipe, Playable, Stream, VideoFile, Webcam
from streamdet.video.memory import allow_pictures
from streamdet.video.orientation import orientation
from streamdet.video.playlist import local_arguments, options_for

# sys.platform -> FFmpeg's input device, and its name for a webcam's number.
_WEBCAM_FORMATS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("vfwcap", "{}")}
# A live playlist grows by whole segments of up to 10 s, with nothing to read in between: its timeout is longer.
_PLAYLIST_PATIENCE = 3
# Before a local file can be read, a disk may have to spin up, or a network share to reconnect.
FILE_TIMEOUT_S = 30.0
# How much FFmpeg reads to recognize streams: as many bytes, and microseconds of the video.
_THOROUGH = {"probesize": str(64 << 20), "analyzeduration": "60000000"}
# Scheme -> the protocols of FFmpeg that its addresses, and what they name, may use.
_WEB, _RTMP, _DATAGRAMS = "http,https,httpproxy,tls,tcp,crypto,data", "rtmp,rtmps,rtmpt,tls,tcp", "udp,rtp,srtp,srt"
_PROTOCOLS = {
    **dict.fromkeys(("http", "https"), _WEB),
    **dict.fromkeys(("rtmp", "rtmps"), _RTMP),
    **dict.fromkeys(("rtsp", "rtsps"), "rtsp,rtsps,rtp,srtp,udp,tls,tcp"),
    SDP_SCHEME: f"file,{_DATAGRAMS}",
}
# Beside sound FFmpeg would time pictures by the sender reports, which may step; a live stream's sound is not used.
_VIDEO_ONLY = {"allowed_media_types": "video"}
# Pictures of which FFmpeg takes the frame rate when it opens a stream of RTP; its 20 take a second.
_BRIEF = {"fpsprobesize": "4"}
# Pictures in a row, which have no times, and formats that tell the duration of a recording before its pictures.
UNTIMED_FORMATS = frozenset({"mpjpeg", "mjpeg", "image2pipe", "jpeg_pipe"})
_TIMED_FORMATS = frozenset({"asf", "flv", "live_flv", "matroska,webm"})
_PICTURE_HEAD_BYTES = 1 << 20  # what a camera writes before the size of a JPEG, a thumbnail included, is shorter
_PADDED = 2  # FFmpeg compares its limit with rows that are padded
# FFmpeg decodes any text file as a video of its characters.
_TEXT_FORMAT = "tty"


def open_container(
    location: Playable,
    timeout_s: float,
    max_pixels: int = MAX_PIXELS,
    rtsp_transport: RtspTransport = "tcp",
    *,
    thorough: bool = False,
) -> InputContainer:
    """Open `location`; connecting, reading the first packets and every later read may each take `timeout_s`.

    A camera or server that keeps FFmpeg in a call without a timeout, such as the look-up of its name, is given up after
    2.5 times as long, see `opened_within`. A local file has `FILE_TIMEOUT_S` instead. A `thorough` opening also
    recognizes streams that begin a minute late.
    Raises InputError.
    """
    if isinstance(location, VideoFile) and location.path.is_file():  # a device may make a reader wait
        _check_picture(location, max_pixels)
    since = time.monotonic()
    open_s, read_s = _timeouts_s(location, timeout_s)
    try:
        arguments = _open_arguments(location, rtsp_transport)
        if isinstance(location, Stream):
            allow_pictures(max_pixels)
        # FFmpeg decodes pictures to recognize a stream, and refuses those that are too large.
        arguments["options"] |= {"max_pixels": str(_PADDED * max_pixels)} | (_THOROUGH if thorough else {})
        opening = partial(av.open, **arguments, metadata_errors="replace", timeout=(open_s, read_s))
        # FFmpeg has the timeout twice: to connect, and to recognize the streams.
        is_remote = isinstance(location, Stream | Webcam)
        container: InputContainer = opened_within(2.5 * open_s, location.name, opening) if is_remote else opening()
    except (av.FFmpegError, OSError, ValueError) as error:
        raise opening_error(location, error, timed_out=time.monotonic() - since >= open_s) from without_address(error)
    return container


def _timeouts_s(location: Playable, timeout_s: float) -> tuple[float, float]:
    """Return the timeouts of opening and of each read."""
    if isinstance(location, VideoFile | Pipe):
        return FILE_TIMEOUT_S, FILE_TIMEOUT_S
    is_playlist = isinstance(location, Stream) and ".m3u8" in location.url
    return timeout_s, _PLAYLIST_PATIENCE * timeout_s if is_playlist else timeout_s


def _open_arguments(location: Playable, rtsp_transport: RtspTransport) -> dict[str, Any]:
    """Return the arguments of ``av.open``, except the timeouts."""
    if isinstance(location, VideoFile):
        # The prefix keeps FFmpeg from taking "12:30.mp4" for a protocol.
        return {"file": f"file:{location.path}", **_file_arguments(location)}
    if isinstance(location, Pipe):
        return {"file": location.url, "options": options_for(None) | {"protocol_whitelist": "file,pipe"}}
    if isinstance(location, Webcam):
        kind, device = _WEBCAM_FORMATS.get(sys.platform, _WEBCAM_FORMATS["linux"])
        return {"file": device.format(location.index), "format": kind, "options": {}}
    return {"file": location.url, "options": _stream_options(location.scheme, rtsp_transport)}


def _file_arguments(location: VideoFile) -> dict[str, Any]:
    """Return arguments of ``av.open`` for a file: which formats and protocols it may lead to, and how."""
    if location.formats is None:
        return local_arguments(location.path)
    return {"options": {"protocol_whitelist": "file", "format_whitelist": ",".join(location.formats)}}


def _stream_options(scheme: str, rtsp_transport: RtspTransport) -> dict[str, str]:
    """Return the options of ``av.open`` for addresses of `scheme`: which formats and protocols they may lead to."""
    allowed = {"protocol_whitelist": _PROTOCOLS.get(scheme, _DATAGRAMS)}
    if scheme in WEB_SCHEMES:
        return allowed | options_for("hls")
    if scheme.startswith("rtsp"):
        # The other one is for cameras that offer nothing else; FFmpeg tries UDP first unless told not to.
        order = {"rtsp_flags": "prefer_tcp"} if rtsp_transport == "tcp" else {}
        return allowed | _VIDEO_ONLY | _BRIEF | {"rtsp_transport": "tcp+udp"} | order
    return allowed | _VIDEO_ONLY | _BRIEF if scheme == SDP_SCHEME else allowed


def video_stream(container: InputContainer, name: str, number: int | None = None) -> av.VideoStream:
    """Return the video stream `number`, from 0, or for None the one that FFmpeg would play.

    Cover art is no video. Raises InputError when there is no such stream.
    """
    if container.format.name == _TEXT_FORMAT:
        raise InputError(f"expected a video, but {name} is text")
    videos = [each for each in container.streams.video if _is_video(each)]
    if not videos:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise InputError(f"expected a video, but {name} holds no video stream that can be decoded (only {kinds})")
    if number is not None and number >= len(videos):
        raise InputError(f"expected a video stream from 0 to {len(videos) - 1} of {name}, found {number}")
    best = container.streams.best("video")
    return videos[number] if number is not None else best if best in videos else videos[0]


def limit_size(stream: av.VideoStream, name: str, max_pixels: int) -> None:
    """Let `stream` decode no picture that is much larger; raises InputError if it announces more than `max_pixels`."""
    context = stream.codec_context
    _require_size(context.width, context.height, name, max_pixels)
    context.options = {**context.options, "max_pixels": str(_PADDED * max_pixels)}


def _check_picture(location: VideoFile, max_pixels: int) -> None:
    """Raise InputError if the file is a picture, by whatever name, that is too large or that FFmpeg shows a part of.

    Of a picture with more than `max_pixels` FFmpeg only says that it cannot be decoded.
    """
    try:
        with location.path.open("rb") as file:
            head = file.read(_PICTURE_HEAD_BYTES)
    except OSError:  # told when FFmpeg opens it
        return
    height, width = announced_hw(head) or (0, 0)
    _require_size(width, height, location.name, max_pixels)
    if is_tiled(head):
        raise InputError(f"expected a video, but {location.name} is a HEIC or AVIF picture of several tiles")


def _require_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputError(f"expected a video of at most {max_pixels:,} pixels, but {name} has {width}x{height}")


def _is_video(stream: av.VideoStream) -> bool:
    return stream.codec_context is not None and not stream.disposition & Disposition.attached_pic


def is_live(location: Playable, container: InputContainer) -> bool:
    """Return whether the video is produced while it is read.

    That is so for a webcam and the protocols of cameras. Over HTTP it is so for an HLS playlist without an end, and,
    unless the server tells a length, for pictures in a row (multipart/x-mixed-replace), a station (ICY headers), and
    for a format that tells its duration first, but has none. All else that a server sends is a file, also in chunks.
    """
    if isinstance(location, VideoFile | Pipe):
        return False
    if isinstance(location, Webcam) or location.scheme in CAMERA_SCHEMES | {SDP_SCHEME}:
        return True
    if container.format.name == "hls":
        return container.duration is None
    if (container.size or 0) > 0 or container.duration is not None:
        return False
    is_station = any(name.startswith("icy-") for name in container.metadata)
    return is_station or container.format.name in UNTIMED_FORMATS | _TIMED_FORMATS


def video_info(
    container: InputContainer, stream: av.VideoStream, first: av.VideoFrame, rate: Fraction | None, *, live: bool
) -> VideoInfo:
    """Return what is known after the `first` frame; size and aspect ratio are those of the upright picture."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = first.width, first.height
    if orientation(first).swaps_sides:
        width, height, aspect = height, width, 1 / aspect
    count = None if live else _frame_count(container, stream, rate)
    return VideoInfo(width, height, rate, count, live, aspect)


def _frame_count(container: InputContainer, stream: av.VideoStream, rate: Fraction | None) -> int | None:
    """Return how many frames are listed, or, where that is unknown, how many would fill the duration."""
    estimate = round(container.duration * rate / av.time_base) if container.duration and rate else None
    # The lists of ISO media (mp4, mov) have the samples that an edit list hides too; only the index marks those.
    is_iso = "mp4" in container.format.name
    listed = sum(not entry.is_discard for entry in stream.index_entries) if is_iso else int(stream.frames)
    # A fragmented file lists only the frames of its first fragment.
    return listed if listed and (estimate is None or 2 * listed > estimate) else estimate
