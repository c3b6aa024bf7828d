"""``streamdet serve``: watches the cameras of a site until Ctrl-C or SIGTERM."""

from __future__ import annotations

import importlib.util
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from streamdet.cli.console import stderr, stdout, warn
from streamdet.cli.interrupt import SIGNALS, set_handler
from streamdet.cli.options import ServeOptions
from streamdet.errors import InputError, MissingExtraError, StreamdetError
from streamdet.fields import option_fields
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import ModelOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.serve.events import EventLog
from streamdet.serve.local import InProcess
from streamdet.serve.options import HostOptions, WatchOptions
from streamdet.serve.remote import Workers
from streamdet.serve.server import Server
from streamdet.serve.site import EXAMPLE, Site, read_site, site_from_sources
from streamdet.serve.watch import Host, State

SITE_SUFFIXES = {".yaml", ".yml"}
INIT_FILE = Path("site.yaml")
END_S = 8.0  # how long the end may take in all
_TOLD_S = 0.5  # between two looks at what has changed


def run(options: ServeOptions) -> int:
    """Serve until a signal, or write an example of a site; returns the exit code. Raises InputError."""
    if options.init:
        return _write_example()
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("prometheus_client") is None:
        raise MissingExtraError("uvicorn or prometheus-client", "serve")
    file = _site_file(options)
    site = read_site(file) if file else _site(options)
    if not site.cameras and file is None:
        raise InputError("expected a site file or cameras, found none: streamdet serve --init writes an example")
    if site.model.model is None:
        site = replace(site, model=replace(site.model, model=EMBEDDED_MODEL))
    if options.port is not None:
        site = replace(site, server=replace(site.server, port=options.port))
    if options.workers is not None:
        site = replace(site, model=replace(site.model, workers=options.workers))
    events = EventLog(site.events)
    with _listening(site) as listener, _host(site.model) as host, Server(site, host, events.add) as server:
        with _pages(server, events, listener):
            address, port = listener.getsockname()[:2]
            stdout.print(f"streamdet serve: http://{address}:{port}/ (Ctrl-C ends it)", soft_wrap=True)
            _wait(server, events, file)
        left = server.close(END_S / 2)
        host.close(END_S / 4)
    if left:
        warn(f"{left} cameras did not end in time")
    return 0


def _write_example() -> int:
    try:
        with INIT_FILE.open("x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError:
        raise InputError(f"expected no {INIT_FILE} here, found one: it is left as it is") from None
    except OSError as error:
        raise InputError(f"expected to write {INIT_FILE}, but {error.strerror}") from None
    stdout.print(f"{INIT_FILE}: edit it, then streamdet serve {INIT_FILE}")
    return 0


def _site_file(options: ServeOptions) -> Path | None:
    """Return the site file that is the only source, None for cameras; raises InputError for options beside it."""
    if len(options.sources) != 1 or Path(options.sources[0]).suffix.lower() not in SITE_SUFFIXES:
        return None
    for name, field in option_fields(ServeOptions).items():
        if name not in ("sources", "port", "workers") and getattr(options, name) != field.default:
            raise InputError(f"expected {name} in {options.sources[0]}, found it on the command line")
    return Path(options.sources[0])


def _site(options: ServeOptions) -> Site:
    """Return the site of the cameras on the command line."""
    run_options = WatchOptions(**{name: getattr(options, name) for name in option_fields(WatchOptions)})
    model = HostOptions(**{name: getattr(options, name) for name in option_fields(ModelOptions)})
    return site_from_sources(options.sources, run_options, model)


@contextmanager
def _host(options: HostOptions) -> Iterator[Host]:
    """Load the model, in this process or in others, for the block; raises StreamdetError."""
    if options.workers == 1:
        with Pipeline.from_options(options) as pipeline:
            yield InProcess(pipeline)
    else:
        with Workers(options.workers, options) as workers:
            yield workers


def _listening(site: Site) -> socket.socket:
    """Return a socket that listens where the site says; raises InputError."""
    host, port = site.server.host, site.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} on {host} cannot be used; state another one ({error})") from None


@contextmanager
def _pages(server: Server, events: EventLog, listener: socket.socket) -> Iterator[None]:
    """Serve the pages at `listener` in a thread during the block."""
    import uvicorn  # which a user of other commands may not have

    from streamdet.serve.web import build

    config = uvicorn.Config(build(server, events), log_config=None, access_log=False, ws="none", lifespan="off")
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, args=([listener],), name="pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        web.should_exit = web.force_exit = True
        thread.join(END_S / 4)


def _wait(server: Server, events: EventLog, file: Path | None) -> None:
    """Block until a signal, and print each change of a camera's state as a line; SIGHUP reads the site file again."""
    ended, reload = threading.Event(), threading.Event()
    hang_up = getattr(signal, "SIGHUP", None)
    for number in SIGNALS:
        is_reload = number == hang_up and file is not None
        set_handler(number, lambda *_, event=reload if is_reload else ended: event.set())
    states, problem = dict[str, tuple[State, str]](), ""
    while not ended.wait(_TOLD_S):
        if reload.is_set() and file is not None:
            reload.clear()
            _reload(server, file)
        _tell_changes(server, states)
        if events.problem and events.problem != problem:
            warn(events.problem)
        problem = events.problem
    _tell_changes(server, states)


def _tell_changes(server: Server, states: dict[str, tuple[State, str]]) -> None:
    """Print a line for each camera whose state is another one than in `states`, and note it there."""
    for each in server.status():
        if states.get(each.name) != (each.state, each.why):
            states[each.name] = each.state, each.why
            told = f"{each.state.value}: {each.why}" if each.why else each.state.value
            stderr.print(f"{time.strftime('%F %T')} {each.name}: {told}", markup=False, soft_wrap=True)


def _reload(server: Server, file: Path) -> None:
    try:
        began, ended = server.change(read_site(file))
    except StreamdetError as error:
        warn(f"the site stays as it is: {error}")
    else:
        names = f"began {', '.join(began) or 'none'}; ended {', '.join(ended) or 'none'}"
        stderr.print(f"{time.strftime('%F %T')} {file} was read again: {names}", markup=False, soft_wrap=True)
