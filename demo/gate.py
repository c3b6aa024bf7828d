"""The gate in front of the page: ASGI middleware that refuses what no visitor's browser sends, and limits the rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamdet.errors import shown
from streamdet.page_options import PageOptions

_HOSTS = ("127.0.0.1", "localhost")
_UPLOAD, _RESULTS = "/gradio_api/upload", "/gradio_api/queue/data"
# What the page asks for. Gradio has many more routes, some of which write files or run programs.
_PATHS = frozenset(
    {"/", "/config", "/favicon.ico", "/manifest.json", "/robots.txt", "/theme.css", _UPLOAD, _RESULTS}
    | {f"/gradio_api/{name}" for name in ("queue/join", "upload_progress", "cancel", "reset", "info", "theme.css")}
)
_FOLDERS = (
    *("/assets/", "/static/", "/svelte/"),
    *(f"/gradio_api/{name}" for name in ("file=", "heartbeat/", "run/", "stream/")),
)
_CALL_BYTES = 16 << 20  # of a call: a frame of a webcam as text
_FORM_BYTES = 1 << 20  # of an upload, beside the file
_UPLOADS_AT_ONCE = 4

_log = logging.getLogger(__name__)


def gate(options: PageOptions, cache: Path, *, leave: Callable[[str], None]) -> list[Middleware]:
    """Return the middleware, outermost first; `cache` is where Gradio stores uploads.

    `leave` is called with the session of a client that closes the connection over which its results come.
    """
    return [
        Middleware(RequestLog),
        Middleware(TrustedHostMiddleware, allowed_hosts=[*_HOSTS, *options.hosts], www_redirect=False),
        Middleware(OwnPage),
        Middleware(Uploads, cache=cache, max_bytes=options.max_upload_mb * 10**6, max_seconds=options.max_seconds),
        Middleware(Departures, leave=leave),
    ]


class RequestLog:
    """Writes one line to the log for a request that is refused, or that fails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass `scope` on, as ASGI has it; so do the other classes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, complete = 0, False

        async def note(message: Message) -> None:
            nonlocal status, complete
            status, complete = message.get("status", status), _is_last(message)
            await send(message)

        reason = ""
        try:
            await self._app(scope, receive, note)
        except Exception as error:  # of any kind: a bad request is a line, not a traceback
            reason = f" ({type(error).__name__}: {shown(str(error))})"
            if status and not complete:
                await send({"type": "http.response.body"})
            elif not status:
                await PlainTextResponse("the server failed", 500)(scope, receive, note)
        if status >= 400 or reason:
            _log.warning("%s %s: %d%s", scope["method"], shown(scope["path"]), status, reason)


class OwnPage:
    """Refuses paths that the page does not use, and requests of other sites' pages, which a browser marks as such."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass `scope` on, or answer 403 or 404."""
        app = self._app
        if scope["type"] == "http":
            headers, path = Headers(scope=scope), scope["path"]
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2].lower() != headers["host"].lower():
                app = PlainTextResponse("expected a request of this page, found one of another site", 403)
            elif path not in _PATHS and not path.startswith(_FOLDERS):
                app = PlainTextResponse("expected an address that this page uses", 404)
        await app(scope, receive, send)


class Uploads:
    """Limits the size of requests, and the number and time of uploads; removes what an aborted upload leaves."""

    def __init__(self, app: ASGIApp, *, cache: Path, max_bytes: int, max_seconds: float) -> None:
        self._cache, self._max_seconds, self._running = cache, max_seconds, 0
        self._call = RequestBodyLimitMiddleware(app, _CALL_BYTES)
        self._upload = RequestBodyLimitMiddleware(app, max_bytes + _FORM_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass `scope` on, or answer 408, 413 or 503."""
        if scope["type"] != "http" or scope["path"] != _UPLOAD:
            await self._call(scope, receive, send)
            return
        if self._running >= _UPLOADS_AT_ONCE:
            sentence = f"expected at most {_UPLOADS_AT_ONCE} uploads at a time: try again later"
            await PlainTextResponse(sentence, 503)(scope, receive, send)
            return
        self._running += 1
        try:
            async with asyncio.timeout(self._max_seconds):
                await self._upload(scope, receive, send)
        except TimeoutError:
            sentence = f"expected an upload to take at most {self._max_seconds:g} s"
            await PlainTextResponse(sentence, 408)(scope, receive, send)
        finally:
            self._running -= 1
            if not self._running:
                self._remove_incomplete()

    def _remove_incomplete(self) -> None:
        """Remove the files of uploads in progress: complete ones have been moved to folders of their own."""
        for path in self._cache.iterdir():
            if path.is_file():
                path.unlink(missing_ok=True)


class Departures:
    """Calls `leave` with the session of a client that closes the connection over which its results come."""

    def __init__(self, app: ASGIApp, *, leave: Callable[[str], None]) -> None:
        self._app, self._leave = app, leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass `scope` on."""
        if scope["type"] != "http" or scope["path"] != _RESULTS:
            await self._app(scope, receive, send)
            return
        complete = False

        async def note(message: Message) -> None:
            nonlocal complete
            complete = _is_last(message)
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if not complete:
                for session in parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", []):
                    self._leave(session)


def _is_last(message: Message) -> bool:
    """Return whether `message` completes a response."""
    return message["type"] == "http.response.body" and not message.get("more_body", False)
