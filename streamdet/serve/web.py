"""The server's pages: a tile for each camera, its live picture, its state as JSON, health checks and metrics."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from streamdet.errors import InputError, shown
from streamdet.fields import options_from_keywords
from streamdet.serve.events import KEPT, EventLog
from streamdet.serve.metrics import PERCENTILES, metrics
from streamdet.serve.options import LOCAL_HOSTS, CameraSite
from streamdet.serve.server import Server
from streamdet.serve.watch import State, Status, Watch

EVENTS = 100  # that are shown, if no other count is asked for
PICTURE_S = 0.1  # between two pictures of a live view at least
BODY_BYTES = 64 << 10
COOKIE = "streamdet_token"
_BOUNDARY = "frame"
_OPEN = ("/healthz", "/readyz")  # asked by orchestrators, which know no token, and telling nothing


def build(server: Server, events: EventLog) -> Starlette:
    """Return the application over `server`, whose events are in `events`."""
    pages = _Pages(server, events)
    return Starlette(
        routes=[
            Route("/", pages.page),
            Route("/cameras", pages.cameras),
            Route("/cameras", pages.add, methods=["POST"]),
            Route("/cameras/{name}", pages.camera),
            Route("/cameras/{name}", pages.remove, methods=["DELETE"]),
            Route("/cameras/{name}/picture.jpg", pages.picture),
            Route("/cameras/{name}/live", pages.live),
            Route("/events", pages.events),
            Route("/healthz", pages.healthy),
            Route("/readyz", pages.ready),
            Route("/metrics", pages.metrics),
        ],
        middleware=[Middleware(Guard, token=server.site.server.token)],
    )


class _Pages:
    """The answers to requests; what waits for a lock or encodes a picture runs in a thread."""

    def __init__(self, server: Server, events: EventLog) -> None:
        self._server, self._metrics, self._events = server, metrics(server.status), events
        self._page = files("streamdet.serve").joinpath("page.html").read_text(encoding="utf-8")

    async def page(self, request: Request) -> Response:
        return HTMLResponse(self._page)

    async def cameras(self, request: Request) -> Response:
        return JSONResponse([as_json(each) for each in await run_in_threadpool(self._server.status)])

    async def camera(self, request: Request) -> Response:
        status = await run_in_threadpool(self._server.status)
        found = [each for each in status if each.name == request.path_params["name"]]
        return JSONResponse(as_json(found[0])) if found else _missing()

    async def add(self, request: Request) -> Response:
        try:
            given = json.loads(await _body(request))
            if not isinstance(given, dict):
                raise ValueError("expected an object")
            await run_in_threadpool(self._server.add, options_from_keywords(CameraSite, given))
        except (ValueError, InputError) as error:
            return JSONResponse({"error": self._server.site.without_secrets(str(error))}, 400)
        return JSONResponse({"added": given["name"]}, 201)

    async def remove(self, request: Request) -> Response:
        try:
            await run_in_threadpool(self._server.remove, request.path_params["name"])
        except InputError as error:
            return JSONResponse({"error": str(error)}, 404)
        return Response(status_code=204)

    async def picture(self, request: Request) -> Response:
        watch = self._server.watch(request.path_params["name"])
        shown = await run_in_threadpool(watch.jpeg) if watch else None
        return Response(shown, media_type="image/jpeg") if shown else _missing()

    async def live(self, request: Request) -> Response:
        watch = self._server.watch(request.path_params["name"])
        if watch is None:
            return _missing()
        return StreamingResponse(live_pictures(watch), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")

    async def events(self, request: Request) -> Response:
        count = request.query_params.get("count", str(EVENTS))
        if not (count.isascii() and count.isdecimal() and len(count) < 10):
            return JSONResponse({"error": f"expected count=N, a whole number, found {shown(count)}"}, 400)
        newest = await run_in_threadpool(self._events.newest, min(int(count), KEPT))
        return JSONResponse([each.to_json() for each in newest])

    async def healthy(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        is_ready = await run_in_threadpool(lambda: self._server.ready)
        return PlainTextResponse("ready\n" if is_ready else "starting\n", 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(await run_in_threadpool(self._metrics), media_type="text/plain; version=0.0.4")


class Guard:
    """Refuses requests without the token, if there is one, and requests that a foreign page has sent.

    A browser that opens an address with ``?token=`` gets the token as a cookie, so that pictures and calls have it too.
    """

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if (refusal := self._refusal(request)) is not None:
            await refusal(scope, receive, send)
            return
        given = request.query_params.get("token")
        if self._token is None or given is None:
            await self._app(scope, receive, send)
            return
        response = Response(status_code=303, headers={"location": str(request.url.remove_query_params("token"))})
        response.set_cookie(COOKIE, given, httponly=True, samesite="strict")
        await response(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        is_visit = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not is_visit:
            return PlainTextResponse("expected a request of this page, found one of another site\n", 403)
        if self._token is None and request.url.hostname not in LOCAL_HOSTS:
            return PlainTextResponse("expected a request for 127.0.0.1 or localhost, found one for another name\n", 403)
        if self._token is None or request.url.path in _OPEN:
            return None
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.query_params.get("token") or request.cookies.get(COOKIE) or bearer
        if hmac.compare_digest(given.encode(), self._token.encode()):
            return None
        return PlainTextResponse("expected the token of this server\n", 401)


def as_json(status: Status) -> dict[str, Any]:
    """Return a status as JSON has it, ages in ms."""
    ages, contract = {f"age_p{each}_ms": status.age_s(each) for each in PERCENTILES}, status.contract
    return {
        "name": status.name,
        "source": status.source,
        "state": status.state.value,
        "why": status.why,
        "since": status.since_unix_s,
        "fps": round(status.rate_hz, 2),
        "tracks": status.tracks,
        "size": status.size,
        "results": status.results,
        "dropped": status.dropped,
        "damaged": status.damaged,
        "reconnects": status.reconnects,
        "abandoned": status.abandoned,
        "contract": contract and {"step": contract.step, "name": contract.name, "why": str(contract)},
        **{name: None if math.isnan(age_s) else round(1000 * age_s, 1) for name, age_s in ages.items()},
    }


async def live_pictures(watch: Watch) -> AsyncIterator[bytes]:
    """Yield the parts of a live view: each new picture, as soon as there is one."""
    shown = None
    while watch.status().state is not State.STOPPED:
        found = await run_in_threadpool(watch.jpeg)
        if found and found != shown:
            shown = found
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(found)}\r\n\r\n"
            yield head.encode() + found + b"\r\n"
        await asyncio.sleep(PICTURE_S)


async def _body(request: Request) -> bytes:
    """Return the body of a request; raises ValueError for a large one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise ValueError(f"expected at most {BODY_BYTES} bytes")
    return body


def _missing() -> Response:
    return JSONResponse({"error": "no such camera, or no picture of it yet"}, 404)
