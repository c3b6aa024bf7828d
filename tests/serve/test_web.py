"""The server's pages: state, pictures, cameras that are added and removed, and who may ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from streamdet.pipeline.pipeline import Pipeline
from streamdet.scheduler.latency import ContractState
from streamdet.serve.events import Event, EventLog
from streamdet.serve.local import InProcess
from streamdet.serve.metrics import metrics
from streamdet.serve.options import CameraSite, ServerOptions
from streamdet.serve.server import Server
from streamdet.serve.site import Site
from streamdet.serve.watch import State, Status
from streamdet.serve.web import BODY_BYTES, as_json, build, live_pictures
from tests.pipeline.fakes import FakeSession, FakeSource, soon

BASE = "http://127.0.0.1:8090"


class Sources(dict[str, FakeSource]):
    def __call__(self, site: CameraSite) -> FakeSource:
        return self.setdefault(site.name, FakeSource(live=True, ended=False, hw=(48, 64)))


@pytest.fixture
def sources() -> Sources:
    return Sources()


def served(sources: Sources, token: str | None = None) -> Iterator[Server]:
    cameras = tuple(CameraSite(name=name, source=f"rtsp://user:secret@{name}/1") for name in ("a", "b"))
    site = Site(cameras=cameras, server=ServerOptions(token=token))
    with (
        Pipeline.from_session(FakeSession()) as pipeline,
        Server(site, InProcess(pipeline, open_source=sources)) as server,
    ):
        yield server


@pytest.fixture
def server(sources: Sources) -> Iterator[Server]:
    yield from served(sources)


@pytest.fixture
def client(server: Server) -> TestClient:
    return TestClient(build(server, EventLog()), base_url=BASE)


def see(server: Server, sources: Sources, name: str, count: int = 1) -> None:
    """Let the camera called `name` give `count` results."""
    assert soon(lambda: name in sources)
    for _ in range(count):
        before = next(each.results for each in server.status() if each.name == name)
        sources[name].feed(1)
        assert soon(lambda: next(each.results for each in server.status() if each.name == name) > before)  # noqa: B023


def test_the_state_of_each_camera(server: Server, sources: Sources, client: TestClient) -> None:
    see(server, sources, "a", 3)
    first, second = client.get("/cameras").json()
    assert (first["name"], first["state"], first["results"], first["size"]) == ("a", "live", 3, [64, 48])
    assert first["source"] == "rtsp://a/1"
    assert 0 < first["age_p50_ms"] <= first["age_p99_ms"] < 20_000
    assert (second["state"], second["results"], second["age_p50_ms"]) == ("starting", 0, None)
    assert client.get("/cameras/b").json()["name"] == "b"
    assert client.get("/cameras/c").status_code == 404


def test_ready_once_every_camera_was_seen_or_is_known_to_be_lost(
    server: Server, sources: Sources, client: TestClient
) -> None:
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").status_code == 503
    see(server, sources, "a")
    assert client.get("/readyz").status_code == 503
    see(server, sources, "b")
    assert client.get("/readyz").text == "ready\n"


def test_a_picture_is_encoded_once_for_all(
    server: Server, sources: Sources, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(server, sources, "a")
    encode = Mock(wraps=cv2.imencode)
    monkeypatch.setattr(cv2, "imencode", encode)
    shown = [client.get("/cameras/a/picture.jpg") for _ in range(5)]
    assert encode.call_count == 1
    assert {each.headers["content-type"] for each in shown} == {"image/jpeg"}
    image = cv2.imdecode(np.frombuffer(shown[0].content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape == (48, 64, 3)
    assert client.get("/cameras/b/picture.jpg").status_code == 404


def test_a_live_view_shows_each_picture_and_ends_with_its_camera(server: Server, sources: Sources) -> None:
    watch = server.watch("a")
    assert watch is not None

    async def view() -> list[bytes]:
        parts, pictures = [], live_pictures(watch)
        for _ in range(2):
            await asyncio.to_thread(see, server, sources, "a")
            parts.append(await anext(pictures))
        watch.stop()
        return parts + [part async for part in pictures]

    parts = asyncio.run(view())
    assert len(parts) == 2
    for part in parts:
        head, picture = part.split(b"\r\n\r\n", 1)
        assert head.startswith(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ")
        assert len(picture) == int(head.rsplit(b" ", 1)[1]) + len(b"\r\n")
        assert picture.startswith(b"\xff\xd8")
    response = TestClient(build(server, EventLog()), base_url=BASE).get("/cameras/a/live")
    assert response.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"


def test_metrics_are_those_of_prometheus(server: Server, sources: Sources, client: TestClient) -> None:
    see(server, sources, "a", 4)
    families = {each.name: each for each in text_string_to_metric_families(client.get("/metrics").text)}
    values = {
        name: {each.labels["camera"]: each.value for each in families[f"streamdet_camera_{name}"].samples}
        for name in ("up", "results")
    }
    assert values == {"up": {"a": 1.0, "b": 0.0}, "results": {"a": 4.0, "b": 0.0}}
    ages = families["streamdet_camera_age_seconds"].samples
    assert [(each.labels["camera"], each.labels["percentile"]) for each in ages] == [
        ("a", p) for p in ("50", "95", "99")
    ]
    assert "process_resident_memory_bytes" in families


def test_events_are_shown_the_newest_first(server: Server) -> None:
    log = EventLog()
    for number in range(3):
        log.add(Event(1000.5, "a", "new", None, number, "person"))
    client = TestClient(build(server, log), base_url=BASE)
    assert [each["id"] for each in client.get("/events").json()] == [2, 1, 0]
    shown = {"time": 1000.5, "id": 2, "camera": "a", "kind": "new", "zone": None, "class_name": "person"}
    assert client.get("/events?count=1").json() == [shown]
    assert client.get("/events?count=-1").status_code == 400


def test_the_step_that_keeps_the_latency_is_named() -> None:
    lost = Status("b", "rtsp://b", State.LOST, "gone", 0.0)
    slow = replace(lost, name="a", ages_s=(0.1, 0.2, 0.3), contract=ContractState(1, 0.31, 0.3))
    assert as_json(slow)["contract"] == {
        "step": 1,
        "name": "every 2nd frame",
        "why": "age 310 ms of 300 ms: every 2nd frame",
    }
    assert as_json(lost)["contract"] is None
    text = metrics(lambda: [slow, lost])().decode()
    families = {each.name: each.samples for each in text_string_to_metric_families(text)}
    for name, label, value in (
        ("latency_step", {"camera": "a", "step": "every 2nd frame"}, 1),
        ("latency_step_age_seconds", {"camera": "a"}, 0.31),
        ("age_limit_seconds", {"camera": "a"}, 0.3),
    ):
        (sample,) = families[f"streamdet_camera_{name}"]
        assert (sample.labels, sample.value) == (label, value)


def test_cameras_are_added_and_removed(server: Server, sources: Sources, client: TestClient) -> None:
    assert client.post("/cameras", json={"name": "c", "source": "rtsp://c/1", "conf": 0.3}).status_code == 201
    see(server, sources, "c")
    again = client.post("/cameras", json={"name": "c", "source": "rtsp://c/1"})
    assert (again.status_code, again.json()["error"]) == (400, "expected a new name, but there is a camera c")
    assert client.delete("/cameras/c").status_code == 204
    assert [each["name"] for each in client.get("/cameras").json()] == ["a", "b"]
    assert client.delete("/cameras/c").status_code == 404
    assert sources["c"].closed


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Expecting"),
        (b"[]", "expected an object"),
        (b'{"name": "c"}', "source"),
        (b'{"name": "c", "source": "0", "conf": 7}', "conf must be between 0 and 1, got 7"),
        (b'{"name": "../c", "source": "0"}', "expected a name of letters"),
        (b'{"name": "c", "source": "0", "cnof": 1}', "unknown keyword 'cnof'"),
        (b'"' + BODY_BYTES * b"a" + b'"', "expected at most"),
    ],
)
def test_a_wrong_camera_is_a_sentence(client: TestClient, body: bytes, reason: str) -> None:
    response = client.post("/cameras", content=body)
    assert response.status_code == 400
    assert reason in response.json()["error"]


def test_a_page_that_needs_no_other_server(client: TestClient) -> None:
    text = client.get("/").text
    assert "<title>streamdet</title>" in text
    assert "http" not in text.replace("https://", "http://").split("<script>")[0]


def test_a_foreign_name_or_page_is_refused(client: TestClient) -> None:
    assert client.get("/cameras", headers={"host": "evil.example"}).status_code == 403
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/cameras/a/picture.jpg", headers=foreign).status_code == 403
    assert client.post("/cameras", json={}, headers=foreign).status_code == 403
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=visit).status_code == 200
    assert client.post("/cameras", json={}, headers=visit).status_code == 403


def test_a_token(sources: Sources) -> None:
    for server in served(sources, token="abc"):
        client = TestClient(build(server, EventLog()), base_url="http://cameras.example", follow_redirects=False)
        assert client.get("/cameras").status_code == 401
        assert client.get("/", params={"token": "abd"}).status_code == 401
        assert client.get("/cameras", headers={"authorization": "Bearer abc"}).status_code == 200
        assert client.get("/healthz").status_code == 200
        visit = client.get("/?token=abc")
        assert (visit.status_code, visit.headers["location"]) == (303, "http://cameras.example/")
        cookie = visit.headers["set-cookie"]
        assert cookie.startswith("streamdet_token=abc") and "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert client.get("/cameras").status_code == 200  # with the cookie
