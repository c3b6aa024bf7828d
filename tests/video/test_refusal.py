"""Sources that cannot be opened: one sentence says what was expected and what was found."""

import http.server
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import InputError, SourceRefused, SourceSilent, SourceUnreachable
from streamdet.video import container
from streamdet.video.location import VideoFile
from streamdet.video.source import open_source

from .web import serving

MakeClip = Callable[..., Path]


def refusal(spec: str | int | Path, kind: type[InputError] = InputError, timeout_s: float = 0.5) -> str:
    """Open `spec`, which must fail by an error of `kind`, and return the sentence: no error numbers, no second one."""
    with pytest.raises(InputError) as caught:
        open_source(spec, timeout_s=timeout_s)
    assert type(caught.value) is kind
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert text.startswith("expected ")
    assert not re.search(r"Errno|\d{6,}|\n|\.\s+[A-Z]", text.replace(str(spec), ""))
    return text


def test_a_missing_file() -> None:
    assert refusal("missing.mp4").endswith("found nothing at 'missing.mp4'")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert "is empty (0 bytes)" in refusal(tmp_path / "a.mp4")


@pytest.mark.parametrize(("name", "said"), [("notes.txt", "is text"), ("notes.mp4", "none that FFmpeg can read")])
def test_a_text(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_text("these are the letters of a text\n" * 40)
    assert said in refusal(tmp_path / name)


def test_noise(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    assert "none that FFmpeg can read" in refusal(tmp_path / "a.mp4")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(make_clip: MakeClip) -> None:
    path = make_clip()
    path.chmod(0)
    assert "access" in refusal(path)


def test_an_mp4_without_index(make_clip: MakeClip) -> None:
    path = make_clip(ticks=range(100))
    content = path.read_bytes()
    assert content.index(b"mdat") < content.index(b"moov")
    path.write_bytes(content[: content.index(b"moov") - 4])
    assert "has no index ('moov' box): it was cut off" in refusal(path)


def write_sound(path: Path, cover: bool) -> None:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("flac", rate=8000)
        if cover:
            image = container.add_stream("png")
            image.codec_context.width, image.codec_context.height, image.codec_context.pix_fmt = 32, 32, "rgb24"
            image.disposition = av.stream.Disposition.attached_pic
            container.mux(image.encode(av.VideoFrame(32, 32, "rgb24")))
        frame = av.AudioFrame(format="s16", layout="mono", samples=4000)
        frame.rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


@pytest.mark.parametrize(("cover", "kinds"), [(False, "audio"), (True, "audio, video")])
def test_sound_without_pictures(tmp_path: Path, cover: bool, kinds: str) -> None:
    write_sound(tmp_path / "song.flac", cover)
    assert f"holds no video stream that can be decoded (only {kinds})" in refusal(tmp_path / "song.flac")


@pytest.mark.skipif(Path("/dev/video9").exists(), reason="there is a tenth webcam")
def test_a_missing_webcam() -> None:
    assert refusal(9, SourceUnreachable).startswith("expected webcam 9, found no such camera")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http"])
def test_nobody_listens(scheme: str) -> None:
    text = refusal(f"{scheme}://127.0.0.1:{free_port()}/a", SourceUnreachable)
    assert text.endswith("but nothing listens there (connection refused)")


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http"])
def test_a_server_that_never_answers(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        since = time.monotonic()
        text = refusal(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/a", SourceUnreachable, timeout_s=0.5)
        assert text.endswith("but it did not answer in time")
        assert time.monotonic() - since < 0.5 * 2 + 1


def test_a_host_that_does_not_exist() -> None:
    assert "cannot be reached: check the host name" in refusal(
        "http://camera.invalid/a.mp4", SourceUnreachable, timeout_s=5
    )


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    """A web server that gives the same answer to everyone."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield f"{url}/clip.mp4"


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (404, SourceRefused, "knows no such stream (404 not found)"),
        (401, SourceRefused, "refused access"),
        (403, SourceRefused, "refused access"),
        (503, SourceUnreachable, "could not be opened"),
    ],
)
def test_a_web_server_that_refuses(status: int, kind: type[InputError], said: str) -> None:
    with answering(status) as url:
        assert said in refusal(url, kind)


def test_a_web_page_is_no_video() -> None:
    with answering(200, b"<html><body>log in</body></html>" * 20) as url:
        assert "what the server sent is no video" in refusal(url, SourceUnreachable)


def test_a_password_does_not_show_in_errors() -> None:
    with pytest.raises(InputError) as caught:
        open_source(f"rtsp://admin:secret@127.0.0.1:{free_port()}/a", timeout_s=0.5)
    assert "secret" not in str(caught.value)


def test_a_local_file_has_a_time_to_open_and_to_be_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data / "videos" / "car-detection.mp4"
    opened = container.open_container(VideoFile(str(path), path), timeout_s=4)
    assert opened.open_timeout == opened.read_timeout == container.FILE_TIMEOUT_S
    monkeypatch.setattr(container, "_timeouts_s", lambda *_: (30, 1e-9))
    with pytest.raises(SourceSilent, match="to go on, but no frame came"):
        list(open_source(path))
    monkeypatch.setattr(container, "_timeouts_s", lambda *_: (1e-9, 30))
    assert refusal(path, SourceUnreachable).endswith("did not answer in time")
