"""Limits what a stream can make FFmpeg allocate: a server may announce, or send without end, what is no picture."""

from __future__ import annotations

import ctypes
import threading

import av

# FFmpeg's own limit, and the least that its codecs and ours need for themselves.
_HIGHEST, _LEAST = 2**31 - 1, 256 << 20
_BYTES_PER_PIXEL = 8  # four channels of 16 bits
_changing = threading.Lock()
_allowed = 0


def allow_pictures(max_pixels: int) -> None:
    """Let FFmpeg allocate no block of memory that is larger than a picture of `max_pixels`, in the whole process.

    Of several calls the highest limit counts, which is from 256 MiB to 2 GiB. A longer packet is lost, as one that is
    damaged; a longer description of a stream is refused. Where FFmpeg's library does not show its setting (on Windows),
    its own limit of 2 GiB remains.
    """
    global _allowed
    with _changing:
        _allowed = max(_allowed, min(max(_BYTES_PER_PIXEL * max_pixels, _LEAST), _HIGHEST))
        # PyAV has no name for the setting, but the extension leads to the library in which it is.
        setting = getattr(ctypes.CDLL(av._core.__file__), "av_max_alloc", None)
        if setting is not None:
            setting(ctypes.c_size_t(_allowed))
