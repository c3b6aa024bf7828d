"""HTTP and HLS from a real server."""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import StreamdetError
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Serve `tmp_path`; gives the URL of its root."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def write_playlist(folder: Path, *, ended: bool) -> None:
    """Write four segments of 1 s and their playlist, which goes on unless `ended`."""
    options = {"hls_time": "1", "hls_list_size": "0"} | ({} if ended else {"hls_flags": "omit_endlist"})
    with av.open(str(folder / "list.m3u8"), "w", format="hls", container_options=options) as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "10", "bf": "0", "sc_threshold": "0"})
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 96, 64, "yuv420p"
        for k in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 4 * k, np.uint8), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_file_over_http_is_a_file(make_clip: MakeClip, tmp_path: Path, web: str) -> None:
    make_clip("clip.mp4")
    with open_source(f"{web}/clip.mp4") as source:
        assert not source.info.live
        assert source.info.frame_count == 30
        assert [frame.time for frame in source] == [Fraction(k, 10) for k in range(30)]
        assert source.audio_from == f"{web}/clip.mp4"


def test_the_sound_of_a_file_over_http_is_copied(data: Path, tmp_path: Path, web: str) -> None:
    (tmp_path / "cars.mp4").write_bytes((data / "videos" / "car-detection.mp4").read_bytes())
    with open_source(f"{web}/cars.mp4", max_frames=25) as source:
        with VideoSink(tmp_path / "out.mp4", info=source.info, audio_from=source.audio_from) as sink:
            for frame in source:
                sink.write(frame.image, frame.pts, frame.time_base)
        assert sink.warnings == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(packet.pts is not None for packet in container.demux(audio=0)) == 94  # 2 s of 1024 samples at 48 kHz


def test_a_complete_playlist_is_a_file(tmp_path: Path, web: str) -> None:
    write_playlist(tmp_path, ended=True)
    with open_source(f"{web}/list.m3u8") as source:
        assert not source.info.live
        times = [frame.time for frame in source]
    assert [time - times[0] for time in times] == [Fraction(k, 10) for k in range(40)]


def test_a_playlist_without_end_is_live_and_fails_when_it_does_not_grow(tmp_path: Path, web: str) -> None:
    write_playlist(tmp_path, ended=False)
    with open_source(f"{web}/list.m3u8", timeout_s=0.5) as source:
        assert source.info.live
        assert source.audio_from is None
        decoded = 0
        with pytest.raises(StreamdetError, match=r"expected .*list.m3u8 to go on, but no frame came for 1.5 s"):
            for _ in source:
                decoded += 1
        assert decoded >= 20
