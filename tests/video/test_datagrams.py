"""Video that comes in datagrams, to an address or as a session description tells."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import SourceSilent, SourceUnreachable
from streamdet.video.location import Stream, locate
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]
DATAGRAM_BYTES = 7 * 188


def free_port() -> int:
    """Return an even port that is free for datagrams, as RTP wants it."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = int(taken.getsockname()[1])
        if port % 2 == 0:
            return port


@contextmanager
def sending(content: bytes, port: int) -> Iterator[threading.Event]:
    """Send `content` again and again to `port` until the event is set or the block ends."""
    ended = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while True:
                for start in range(0, len(content), DATAGRAM_BYTES):
                    if ended.wait(0.002):
                        return
                    out.sendto(content[start : start + DATAGRAM_BYTES], ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield ended
    finally:
        ended.set()
        thread.join()


def test_a_transport_stream_in_datagrams_is_live(make_clip: MakeClip) -> None:
    port = free_port()
    content = make_clip("clip.ts", ticks=range(40)).read_bytes()
    with sending(content, port) as ended, open_source(f"udp://127.0.0.1:{port}", timeout_s=20) as source:
        assert source.info.live
        assert source.audio_from is None
        assert (source.info.width, source.info.height) == (96, 64)
        assert [next(source).image.shape for _ in range(5)] == [(64, 96, 3)] * 5
        ended.set()


def test_a_sender_that_stops_is_silent(make_clip: MakeClip) -> None:
    port = free_port()
    content = make_clip("clip.ts", ticks=range(40)).read_bytes()
    with sending(content, port) as ended, open_source(f"udp://127.0.0.1:{port}", timeout_s=5) as source:
        next(source)
        ended.set()
        with pytest.raises(SourceSilent, match="to go on, but no frame came for 5 s"):
            list(source)


@pytest.mark.parametrize("scheme", ["udp", "rtp"])
def test_nobody_sends(scheme: str) -> None:
    with pytest.raises(SourceUnreachable, match="did not answer in time"):
        open_source(f"{scheme}://127.0.0.1:{free_port()}", timeout_s=0.5)


def test_a_protocol_that_is_not_built_in_is_told() -> None:
    try:
        av.open("srt://127.0.0.1:9", timeout=(0.1, 0.1))
    except av.error.ProtocolNotFoundError:
        with pytest.raises(SourceUnreachable, match="FFmpeg is built without its protocol"):
            open_source("srt://127.0.0.1:9", timeout_s=0.5)
    except av.FFmpegError:
        pytest.skip("FFmpeg is built with SRT")


def test_a_session_description_is_a_stream(tmp_path: Path) -> None:
    path, port, ended = tmp_path / "session.sdp", free_port(), threading.Event()
    path.write_text(
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=test\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 26\na=framerate:10\n"
    )
    assert locate(path) == Stream(str(path), str(path), "sdp")

    def send() -> None:
        with av.open(f"rtp://127.0.0.1:{port}", "w", format="rtp") as container:
            stream = container.add_stream("mjpeg", rate=10, options={"huffman": "default"})
            stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 96, 64, "yuvj420p"
            k = 0
            while not ended.wait(0.02):
                frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 99, np.uint8), format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 10)
                container.mux(stream.encode(frame))
                k += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with open_source(path, timeout_s=20) as source:
            assert source.info.live
            assert [next(source).image.shape for _ in range(3)] == [(64, 96, 3)] * 3
    finally:
        ended.set()
        thread.join()
