"""What went wrong while a video was opened or read, in one sentence each."""

from __future__ import annotations

import errno
from pathlib import Path

import av

from streamdet.errors import (
    InputError,
    SourceBroken,
    SourceEnded,
    SourceError,
    SourceRefused,
    SourceSilent,
    SourceUnreachable,
)
from streamdet.video.location import Pipe, Playable, VideoFile, Webcam


def without_address(error: Exception) -> Exception:
    """Return `error` itself, without what FFmpeg says of the address: it is the cause of another, and has passwords."""
    if isinstance(error, av.FFmpegError):
        error.args = error.args[:2]
    return error


def ended_error(name: str) -> SourceEnded:
    """Return the error to raise when the live stream `name` was ended by its server."""
    return SourceEnded(f"expected {name} to go on, but the stream ended")


def silent_error(name: str, waited_s: float) -> SourceSilent:
    """Return the error to raise when the live stream `name` has sent no frame for `waited_s`."""
    return SourceSilent(f"expected {name} to go on, but no frame came for {waited_s:g} s")


def undecodable_error(name: str, waited_s: float) -> SourceSilent:
    """Return the error to raise when nothing that the live stream `name` has sent for `waited_s` is a frame."""
    return SourceSilent(f"expected {name} to go on, but no frame of it could be decoded for {waited_s:g} s")


def broken_error(name: str, error: Exception, waited_s: float) -> SourceError:
    """Return the error to raise when reading from `name` failed with `error`; a read may take `waited_s`."""
    if is_timeout(error):
        return silent_error(name, waited_s)
    return SourceBroken(f"expected {name} to go on, but the stream broke off ({_reason(error)})")


def is_timeout(error: Exception) -> bool:
    """Return whether `error` is what PyAV raises when a read took longer than its timeout."""
    return isinstance(error, av.error.ExitError | av.error.TimeoutError)


def opening_error(location: Playable, error: Exception, *, timed_out: bool) -> InputError:
    """Return the error to raise when opening `location` failed with `error`, or took longer than its timeout."""
    if isinstance(location, VideoFile):
        if timed_out or is_timeout(error):
            return SourceUnreachable(f"expected a video file, but {location.name} did not answer in time")
        return InputError(_file_reason(location, error))
    if isinstance(location, Pipe):
        return InputError(
            f"expected a video, but what comes through {location.name} is none that FFmpeg can read without its end "
            f"({_reason(error)})"
        )
    if isinstance(location, Webcam):
        return SourceUnreachable(
            f"expected {location.name}, found no such camera that can be opened ({_reason(error)})"
        )
    refused = not timed_out and (isinstance(error, av.error.HTTPClientError) or _lacks_transport(error))
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
    if _lacks_transport(error):
        return "it offers neither TCP nor UDP (461 unsupported transport)"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return "FFmpeg is built without its protocol"
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


def _lacks_transport(error: Exception) -> bool:
    """Return whether an RTSP server has refused every transport."""
    return isinstance(error, OSError) and error.errno == errno.EPROTONOSUPPORT


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
