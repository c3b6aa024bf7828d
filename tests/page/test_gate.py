"""The gate in front of the demo's page, over an application that only says what reached it."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.testclient import TestClient

from demo.gate import gate
from demo.log import OneLine
from streamdet.page_options import PageOptions

ORIGIN = "http://localhost:7860"


class Behind:
    """What stands behind the gate: it stores uploads like Gradio, and fails at /assets/fail."""

    def __init__(self, cache: Path) -> None:
        self.cache, self.left, self.reached = cache, list[str](), list[str]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.reached.append(request.url.path)
        if request.url.path == "/assets/fail":
            raise ValueError("\x1b[31mred\nand more")
        if request.method == "POST":
            with (self.cache / "tmp0").open("wb") as file:
                async for chunk in request.stream():
                    file.write(chunk)
        await Response("reached")(scope, receive, send)

    def gated(self, **options: Any) -> Starlette:
        middleware = gate(PageOptions(**options), self.cache, leave=self.left.append)
        return Starlette(routes=[Mount("/", self)], middleware=middleware)

    def client(self, **options: Any) -> TestClient:
        return TestClient(self.gated(**options), base_url=ORIGIN)


@pytest.fixture
def behind(tmp_path: Path) -> Behind:
    return Behind(tmp_path)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What the page's log shows."""
    with caplog.at_level(logging.WARNING):
        yield lambda: [OneLine().format(record) for record in caplog.records]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:7860", None, 200),
        ("127.0.0.1:7860", "http://127.0.0.1:7860", 200),
        ("demo.example.org", "https://demo.example.org", 200),
        ("rebound.example.org:7860", None, 400),
        ("", None, 400),
        ("localhost:7860", "http://localhost:8000", 403),
        ("localhost:7860", "http://other.example.org", 403),
        ("localhost:7860", "http://127.0.0.1:7860", 403),
        ("localhost:7860", "null", 403),
        ("localhost:7860", "http://[", 403),
    ],
)
def test_only_trusted_hosts_and_their_own_pages_get_through(
    behind: Behind, host: str, origin: str | None, status: int
) -> None:
    headers = {"host": host} | ({"origin": origin} if origin else {})
    assert behind.client(hosts=("demo.example.org",)).post("/gradio_api/upload", headers=headers).status_code == status
    assert behind.reached == (["/gradio_api/upload"] if status == 200 else [])


@pytest.mark.parametrize(
    "path", ["/gradio_api/process_recording", "/gradio_api/vibe-code", "/gradio_api/proxy=x", "/x"]
)
def test_what_the_page_does_not_use_is_not_served(behind: Behind, path: str) -> None:
    assert behind.client().post(path).status_code == 404
    assert behind.reached == []


def test_a_bad_request_is_one_printable_line(behind: Behind, lines: Callable[[], list[str]]) -> None:
    client = behind.client()
    client.get("/%1b%5B31m%0Aevil" + 200 * "x")
    (line,) = lines()
    assert line.startswith(r"warning: GET '/\x1b[31m\nevilxx")
    assert line.endswith(": 404")
    assert len(line) < 120


def test_a_failure_is_one_printable_line(behind: Behind, lines: Callable[[], list[str]]) -> None:
    response = behind.client().get("/assets/fail")
    assert (response.status_code, response.text) == (500, "the server failed")
    assert lines() == [r"warning: GET '/assets/fail': 500 (ValueError: '\x1b[31mred\nand more')"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("path", "limit"), [("/gradio_api/upload", 3 << 20), ("/gradio_api/queue/join", 17 << 20)])
def test_a_body_above_the_limit_is_refused(behind: Behind, path: str, limit: int, *, chunked: bool) -> None:
    body = (bytes(1 << 20) for _ in range(limit >> 20)) if chunked else bytes(limit)
    assert behind.client(max_upload_mb=1).post(path, content=body).status_code == 413
    assert behind.client(max_upload_mb=1).post(path, content=bytes(1 << 20)).status_code == 200


def scope(path: str, query: str = "") -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", b"localhost:7860")],
        "query_string": query.encode(),
        "http_version": "1.1",
    }


def talk(behind: Behind, path: str, received: list[dict[str, Any]], query: str = "", **options: Any) -> list[Any]:
    """Send a request whose messages are `received`, after which nothing comes; return what was sent back."""
    sent = []

    async def receive() -> Any:
        if received:
            return received.pop(0)
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        await behind.gated(**options)(scope(path, query), receive, send)

    asyncio.run(asyncio.wait_for(run(), timeout=60))
    return sent


def test_an_aborted_upload_leaves_nothing(behind: Behind) -> None:
    complete = behind.cache / "hash" / "clip.mp4"
    complete.parent.mkdir()
    complete.write_bytes(b"complete")
    half = {"type": "http.request", "body": b"half", "more_body": True}
    talk(behind, "/gradio_api/upload", [half, {"type": "http.disconnect"}])
    assert [path for path in behind.cache.rglob("*") if path.is_file()] == [complete]


def test_an_upload_that_trickles_ends(behind: Behind) -> None:
    half = {"type": "http.request", "body": b"half", "more_body": True}
    start, body = talk(behind, "/gradio_api/upload", [half], max_seconds=1)
    assert (start["status"], body["body"]) == (408, b"expected an upload to take at most 1 s")
    assert list(behind.cache.iterdir()) == []


class Results(Behind):
    """Sends two results, and then either the end or nothing more."""

    ends = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        if not self.ends and (await receive())["type"] == "http.disconnect":
            raise ClientDisconnect
        await send({"type": "http.response.body", "body": b"2"})


@pytest.mark.parametrize(("ends", "left"), [(True, []), (False, ["visitor"])])
def test_a_client_that_drops_its_connection_leaves(tmp_path: Path, *, ends: bool, left: list[str]) -> None:
    results = Results(tmp_path)
    results.ends = ends
    talk(results, "/gradio_api/queue/data", [{"type": "http.disconnect"}], query="session_hash=visitor")
    assert results.left == left
