"""HTTP and HLS from a real server."""

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamdet.errors import InputError, SourceBroken, SourceEnded, SourceError, SourceSilent
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source

from .web import end_body, reset, serving, serving_files, serving_live, write_playlist

MakeClip = Callable[..., Path]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Serve `tmp_path`; gives the URL of its root."""
    with serving_files(tmp_path) as url:
        yield url


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
        with pytest.raises(SourceSilent, match=r"expected .*list.m3u8 to go on, but no frame came for 1.5 s"):
            for _ in source:
                decoded += 1
        assert decoded >= 20


@pytest.mark.parametrize(
    ("end", "kind"), [(end_body, SourceEnded), (lambda _: None, SourceSilent), (reset, SourceBroken)]
)
def test_how_a_live_stream_stops_is_told_by_the_type_of_its_error(
    make_clip: MakeClip, end: Callable[[socket.socket], None], kind: type[SourceError]
) -> None:
    """A transport stream without length; its server goes on when a frame has been read, and keeps the line open."""
    frame_read, told = threading.Event(), threading.Event()

    def finish(connection: socket.socket) -> None:
        assert frame_read.wait(30)
        end(connection)
        assert told.wait(30)

    body = make_clip("clip.ts", ticks=range(60)).read_bytes()
    with serving_live(body, finish) as url, open_source(url, timeout_s=1, live=True) as source:
        assert source.info.live
        next(source)
        frame_read.set()
        with pytest.raises(SourceError, match=r"expected .* to go on, but") as caught:
            list(source)
        told.set()
    assert type(caught.value) is kind
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("name", ["clip.ts", "clip.mp4", "clip.mkv", "clip.mpg", "clip.avi"])
def test_a_file_in_chunks_is_a_file(make_clip: MakeClip, tmp_path: Path, name: str) -> None:
    """Its length is not told, but it has an end: no frame may be dropped, and its sound can be read again."""
    body = make_clip(name, ticks=range(60)).read_bytes()
    with serving_live(body, end_body, Content_Type="video/mp2t") as url, open_source(url) as source:
        assert not source.info.live
        assert source.audio_from == url
        assert sum(1 for _ in source) == 60


@pytest.mark.parametrize(
    ("name", "options", "headers"),
    [
        ("clip.ts", {}, {"icy_name": "Market square"}),
        ("clip.flv", {"flvflags": "no_duration_filesize"}, {"Content_Type": "video/x-flv"}),
        ("clip.mkv", {"live": "1"}, {"Content_Type": "video/x-matroska"}),
    ],
)
def test_what_the_server_says_makes_a_camera(
    make_clip: MakeClip, name: str, options: dict[str, str], headers: dict[str, str]
) -> None:
    body = make_clip(name, ticks=range(60), options=options).read_bytes()
    with serving_live(body, end_body, **headers) as url, open_source(url) as source:
        assert source.info.live
        assert source.audio_from is None


def test_only_what_comes_over_a_line_can_be_live(make_clip: MakeClip) -> None:
    clip = make_clip()
    with pytest.raises(InputError, match=f"expected a web address or a pipe to be live, found {clip}"):
        open_source(clip, live=True)


def test_images_from_a_camera_have_the_times_of_their_arrival() -> None:
    """MJPEG over HTTP: the server sends one more image each time it is asked to."""
    wanted = threading.Semaphore(12)  # as many as FFmpeg may read to recognize the format
    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 99, np.uint8))[1].tobytes()
    part = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            for _ in range(15):
                assert wanted.acquire(timeout=60)
                self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Camera) as url, open_source(f"{url}/video", timeout_s=30) as source:
        assert source.info.live
        assert source.info.frame_rate is None
        frames = [next(source) for _ in range(11)]
        for _ in range(3):
            earlier_s = time.monotonic()
            wanted.release()
            frames.append(next(source))
            assert earlier_s - 0.001 <= frames[-1].time <= time.monotonic() + 0.001
        assert all(one.time < other.time for one, other in pairwise(frames))
