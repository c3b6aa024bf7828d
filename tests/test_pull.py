"""The download of published models: whole, what was published, or nothing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamdet.cli.pull import PUBLISHED, PublishedModel, download, published
from streamdet.errors import InputError, OutputError

CONTENT = bytes(range(256)) * 1000


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/lost.onnx":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/cut.onnx" else CONTENT)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def model(url: str, content: bytes = CONTENT) -> PublishedModel:
    return PublishedModel("m", url, hashlib.sha256(content).hexdigest(), "Apache-2.0", 1.0, 640, 40.0)


def test_the_file_is_what_was_published(server: str, tmp_path: Path) -> None:
    calls = list[tuple[int, int | None]]()
    path = download(model(f"{server}/m.onnx"), tmp_path / "new", lambda done, total: calls.append((done, total)))
    assert path == tmp_path / "new" / "m.onnx"
    assert path.read_bytes() == CONTENT
    assert calls[-1] == (len(CONTENT), len(CONTENT))


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(CONTENT)
    assert download(model("http://127.0.0.1:9/m.onnx"), tmp_path) == tmp_path / "m.onnx"


def test_another_file_of_that_name_stays(server: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"mine")
    with pytest.raises(InputError, match="found something else: it was left as it is"):
        download(model(f"{server}/m.onnx"), tmp_path)
    assert (tmp_path / "m.onnx").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("place", "content", "sentence"),
    [
        ("/m.onnx", b"other", "expected the published m, but other bytes came"),
        ("/cut.onnx", CONTENT, "expected the published m, but other bytes came"),
        ("/lost.onnx", CONTENT, "cannot be downloaded to .*404"),
    ],
)
def test_what_was_not_published_leaves_nothing(
    server: str, tmp_path: Path, place: str, content: bytes, sentence: str
) -> None:
    with pytest.raises(OutputError, match=sentence):
        download(model(server + place, content), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_it_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"http://127\.0\.0\.1:9/m\.onnx cannot be downloaded"):
        download(model("http://127.0.0.1:9/m.onnx"), tmp_path)


def test_the_nearest_name_is_said() -> None:
    with pytest.raises(InputError, match=r"expected one of yolox-nano, .* found 'yolox_s'; did you mean 'yolox-s'\?"):
        published("yolox_s")


def test_the_stored_digest_is_that_of_the_file(data: Path) -> None:
    content = (data / "weights/yolox_nano.onnx").read_bytes()
    assert hashlib.sha256(content).hexdigest() == PUBLISHED["yolox-nano"].sha256


def test_all_are_listed(streamdet: object) -> None:
    printed = streamdet("model", "pull", code=0)  # type: ignore[operator]
    assert all(name in printed for name in PUBLISHED)
