"""The demo's web server: the page, behind the gate, over one pipeline."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import PIL.EpsImagePlugin
import PIL.Image
import uvicorn
from fastapi import FastAPI

from streamdet.page_options import PageOptions
from streamdet.pipeline.pipeline import Pipeline

from .app import MOUNTING, build_page
from .gate import gate
from .log import log_in_lines
from .remains import sweep
from .video import VideoRuns
from .webcam import Webcams

_SWEEP_EVERY_S = 60
_CONNECTIONS = 512  # an open page has up to eight
_END_S = 5.0


@contextmanager
def serving(
    options: PageOptions, model: Path, arch: str | None, listener: socket.socket, cache: Path
) -> Iterator[None]:
    """Serve the page at the socket `listener` during the block; `arch` is that of weights that are only tensors.

    Uploads and results are stored in the folder `cache`, which must be Gradio's own (``GRADIO_TEMP_DIR``). Raises
    InputError when the model cannot be used.
    """
    log_in_lines()
    _limit_images(options.max_pixels)
    pipeline = Pipeline(model=model, arch=arch)
    runs, webcams = VideoRuns(pipeline, cache, options), Webcams(pipeline, options)

    def leave(session: str) -> None:
        runs.cancel(session)
        webcams.close(session)

    page = build_page(runs, webcams, list(pipeline.class_names), options)
    remove_old = partial(sweep, cache, 10 * options.max_upload_mb * 10**6)
    app = FastAPI(
        openapi_url=None, middleware=gate(options, cache, leave=leave), lifespan=partial(_sweeping, remove_old)
    )
    gr.mount_gradio_app(app, page, "/", max_file_size=options.max_upload_mb * 10**6, **MOUNTING)
    page.has_launched = True  # only then does Gradio refuse files of the machine that were not uploaded
    server = _start(app, listener)
    try:
        yield
    finally:
        logging.disable()  # each connection of an open page that is cut off would be an error
        runs.close()
        webcams.close()
        pipeline.close()
        page.close(verbose=False)
        _end(server)
        logging.disable(logging.NOTSET)


def _limit_images(max_pixels: int) -> None:
    """Let Pillow, which decodes the frames of webcams, refuse an image of more than `max_pixels` by its header."""
    PIL.Image.MAX_IMAGE_PIXELS = max_pixels // 2  # it refuses twice as many, and warns between the two
    warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
    PIL.EpsImagePlugin.gs_binary = False  # otherwise an image in PostScript is a program that Ghostscript runs


@asynccontextmanager
async def _sweeping(remove_old: Any, _: FastAPI) -> AsyncIterator[None]:
    async def sweep_again() -> None:
        while True:
            await asyncio.to_thread(remove_old)
            await asyncio.sleep(_SWEEP_EVERY_S)

    task = asyncio.create_task(sweep_again())
    yield
    task.cancel()


def _start(app: FastAPI, listener: socket.socket) -> tuple[uvicorn.Server, threading.Thread]:
    """Start to serve in a thread, and return once requests are accepted."""
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", limit_concurrency=_CONNECTIONS)
    ready = threading.Event()
    server = _Server(config, ready)
    thread = threading.Thread(target=server.run, args=([listener],), name="page", daemon=True)
    thread.start()
    ready.wait()
    return server, thread


class _Server(uvicorn.Server):
    """Sets `ready` when requests are accepted."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self._ready.set()


def _end(running: tuple[uvicorn.Server, threading.Thread]) -> None:
    server, thread = running
    # Without force the server would wait until all pages are closed.
    server.should_exit = server.force_exit = True
    thread.join(_END_S)
