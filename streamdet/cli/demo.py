"""``streamdet demo``: serves the web page in the folder ``demo`` until Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import tempfile
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
    port = _usable_port(options.port)
    with tempfile.TemporaryDirectory(prefix="streamdet-demo-", ignore_cleanup_errors=True) as cache:
        # gradio reads both variables when it is imported.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=cache)
        app = load_app()
        with app.serving(Path(options.model or EMBEDDED_MODEL), _HOST, port, Path(cache)) as url:
            stdout.print(f"streamdet demo: {url} (Ctrl-C ends it)")
            _wait_for_signal()


def _usable_port(port: int) -> int:
    """Return `port`, or a free one for 0; raises InputError, before the seconds that it takes to import gradio."""
    try:
        with socket.create_server((_HOST, port)) as probe:
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} on {_HOST} cannot be used; choose another one with --port ({error})") from None


def load_app() -> ModuleType:
    """Import the folder ``demo`` as the package ``streamdet.demo``, where it is in a wheel, and return its `app`."""
    name, folder = "streamdet.demo", resource("demo")
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return importlib.import_module(f"{name}.app")


def _wait_for_signal() -> None:
    """Block until the first SIGINT or SIGTERM; a second one is handled as before the call."""
    received = threading.Event()
    previous = {number: signal.signal(number, lambda *_: received.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    received.wait()
    for number, handler in previous.items():
        signal.signal(number, handler)
