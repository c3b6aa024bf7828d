"""A web server, and live streams for it to give."""

import functools
import http.server
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer requests by `handler`; gives the URL of the root."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """Serve the files in `folder`; gives the URL of the root."""
    with serving(functools.partial(_Files, directory=str(folder))) as url:
        yield url


@contextmanager
def serving_live(body: bytes, end: Callable[[socket.socket], object], **headers: str) -> Iterator[str]:
    """Answer every request with `body` as a chunk of more, then do `end` to the connection; gives a URL.

    The names of `headers` have underlines for hyphens.
    """

    class Handler(_Files):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
            end(self.connection)

    with serving(Handler) as url:
        yield f"{url}/live.ts"


def end_body(connection: socket.socket) -> None:
    """Say that no chunk follows."""
    connection.sendall(b"0\r\n\r\n")


def reset(connection: socket.socket) -> None:
    """Break the connection off, so that the other side meets an error and no end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def write_playlist(folder: Path, *, ended: bool, encrypted: bool = False) -> None:
    """Write four segments of 1 s and their playlist, which goes on unless `ended`."""
    options = {"hls_time": "1", "hls_list_size": "0"} | ({} if ended else {"hls_flags": "omit_endlist"})
    if encrypted:  # FFmpeg reads keys only from files with the ending of a video
        options |= {"hls_enc": "1", "hls_enc_key": "0123456789abcdef", "hls_enc_key_url": str(folder / "key.ts")}
    with av.open(str(folder / "list.m3u8"), "w", format="hls", container_options=options) as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "10", "bf": "0", "sc_threshold": "0"})
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 96, 64, "yuv420p"
        for k in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 4 * k, np.uint8), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
