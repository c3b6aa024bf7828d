"""``streamdet demo``: serves the web page in the folder ``demo`` until Ctrl-C."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType

from streamdet.cli.console import stdout
from streamdet.cli.options import DemoOptions
from streamdet.errors import InputError, MissingExtraError
from streamdet.files import EMBEDDED_MODEL, resource

_HOST = "127.0.0.1"


def serve(options: DemoOptions) -> None:
    """Serve the demo on 127.0.0.1 until SIGINT or SIGTERM, on any free port for 0; raises InputError."""
    if importlib.util.find_spec("gradio") is None:
        raise MissingExtraError("gradio", "demo")
    # Before the seconds that it takes to import gradio.
    with _listening(options.port) as listener, load_demo("remains").own_folder() as cache:
        # gradio reads both variables when it is imported.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=str(cache))
        model = Path(options.model or EMBEDDED_MODEL)
        with load_demo("server").serving(options, model, options.arch, listener, cache):
            stdout.print(f"streamdet demo: http://{_HOST}:{listener.getsockname()[1]}/ (Ctrl-C ends it)")
            _wait_for_signal()


def _listening(port: int) -> socket.socket:
    """Return a socket that listens at `port`, or a free one for 0; raises InputError."""
    try:
        return socket.create_server((_HOST, port))
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} on {_HOST} cannot be used; choose another one with --port ({error})") from None


def load_demo(module: str) -> ModuleType:
    """Import the folder ``demo`` as the package ``streamdet.demo``, where it is in a wheel, and return its `module`."""
    name, folder = "streamdet.demo", resource("demo")
    if name in sys.modules:
        return importlib.import_module(f"{name}.{module}")
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return importlib.import_module(f"{name}.{module}")


def _wait_for_signal() -> None:
    """Block until the first SIGINT or SIGTERM; a second one is handled as before the call."""
    received = threading.Event()
    previous = {number: signal.signal(number, lambda *_: received.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    received.wait()
    for number, handler in previous.items():
        signal.signal(number, handler)
