"""``streamdet demo`` and requests that no browser of a visitor sends."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.page.test_video_runs import png

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

_sessions = count()


@dataclass
class Server:
    """A running demo; `log` is a file that shows what the operator reads."""

    client: httpx.Client
    log: Path
    process: subprocess.Popen[str]

    def __post_init__(self) -> None:
        events = self.client.get("/config").json()["dependencies"]
        self.ids = {event["api_name"]: event["id"] for event in events}

    def join(self, event: str, *values: Any, session: str) -> httpx.Response:
        """Put a call into the queue."""
        call = {"fn_index": self.ids[event], "data": values, "session_hash": session}
        return self.client.post("/gradio_api/queue/join", json=call)

    def refusal(self, event: str, *values: Any) -> str:
        """Return the sentence with which a call ends."""
        session = f"session {next(_sessions)}"
        assert self.join(event, *values, session=session).status_code == 200
        results = self.client.get("/gradio_api/queue/data", params={"session_hash": session}).text
        (line,) = [line for line in results.splitlines() if "process_completed" in line]
        message = json.loads(line.removeprefix("data: "))
        assert not message["success"], message
        return str(message["output"]["error"])

    def printed(self) -> list[str]:
        """Return what the operator has read since the last call."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return lines


@pytest.fixture(scope="module")
def server(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "streamdet", "demo", "--model", str(tiny_weights), "--port", "0", "--queue", "3"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    log = folder / "log"
    with (
        log.open("a") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert address, log.read_text()
        log.write_text("")
        with httpx.Client(base_url=address[0], timeout=120) as client:
            yield Server(client, log, process)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def uploaded(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize("event", ["track", "receive"])
def test_a_file_of_the_machine_is_neither_read_nor_copied(server: Server, data: Path, event: str) -> None:
    path = data / "videos" / "car-detection.mp4"
    others: tuple[Any, ...] = ([], 0.3) if event == "track" else ()
    assert server.refusal(event, uploaded(str(path)), *others) == "expected values that this page sends, found others"
    (line,) = server.printed()
    assert line.startswith("warning: a call of the page failed (InvalidPathError: ")
    assert server.client.get(f"/gradio_api/file={path}").status_code == 403
    assert len(server.printed()) == 1


@pytest.mark.parametrize(
    "values",
    [("\x1b[31mred\nline",), (None, ["\x1b[31mred\nline"], 0.3), (None, [], "\x1b[31m"), (None, [], 1e9), (None, [])],
)
def test_a_call_with_other_values_is_one_printable_line(server: Server, values: tuple[Any, ...]) -> None:
    assert server.refusal("track", *values)
    (line,) = server.printed()
    assert line.isprintable()
    assert line.startswith("warning: a call of the page failed (")


@pytest.mark.parametrize("event", [999, "\x1b[31m", None])
def test_an_unknown_event_is_one_printable_line(server: Server, event: object) -> None:
    call = {"fn_index": event, "data": [], "session_hash": "x"}
    assert server.client.post("/gradio_api/run/track", json=call).status_code >= 400
    (line,) = server.printed()
    assert line.isprintable()


def test_calls_past_the_queue_are_refused(server: Server) -> None:
    call = {"fn_index": server.ids["watch"], "data": [], "session_hash": "x"}
    assert server.client.post("/gradio_api/run/watch", json=call).status_code == 404
    assert server.client.post("/gradio_api/call/watch", json={"data": []}).status_code == 404


def test_an_image_that_announces_many_pixels_costs_no_memory(server: Server) -> None:
    def most_mb() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) // 1000

    before_mb, image = most_mb(), base64.b64encode(png(12_000, 12_000)).decode()
    for _ in range(2):
        assert server.refusal("receive", {"url": f"data:image/png;base64,{image}"}).startswith(
            "expected frames of fewer"
        )
    assert most_mb() - before_mb < 100


def test_many_webcams_and_videos_are_refused_while_the_page_is_served(server: Server) -> None:
    for number in range(60):
        assert server.join("watch", session=f"webcam {number}").status_code == 200
    sentence = "expected at most 4 webcams at a time, and all places are taken: try again later"
    deadline_s = time.monotonic() + 120
    while server.refusal("watch") != sentence and time.monotonic() < deadline_s:
        pass
    assert server.client.get("/").status_code == 200
    answers = [server.join("track", None, [], 0.3, session=f"video {number}") for number in range(20)]
    assert answers[-1].status_code == 503
    assert answers[-1].json() == {"detail": "Queue is full. Max size is 3 and size is 3."}
    assert server.client.get("/").status_code == 200
