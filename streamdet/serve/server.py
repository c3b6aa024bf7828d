"""The cameras of a site: added, changed and removed while the others go on."""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Self

from streamdet.errors import InputError
from streamdet.serve.options import CameraSite
from streamdet.serve.site import Site
from streamdet.serve.watch import Host, State, Status, Tell, Watch

CHECK_S = 5.0  # between two looks for cameras that hang
CLOSE_S = 5.0  # how long cameras may take to end


class Server:
    """Watches the cameras of a `site` at `host` until ``close``; a context manager.

    `tell` is called with each event of a camera, from any thread.
    """

    def __init__(self, site: Site, host: Host, tell: Tell = lambda event: None) -> None:
        self.site = site
        self._host, self._tell = host, tell
        self._cameras: dict[str, CameraSite] = {}
        self._watches: dict[str, Watch] = {}
        self._states, self._number = (
            tempfile.TemporaryDirectory(prefix="streamdet-", ignore_cleanup_errors=True),
            count(),
        )
        self._changing = threading.Lock()
        self._ended = threading.Event()
        for camera in site.cameras:
            self._begin(camera)
        self._checks = threading.Thread(target=self._check, name="watchdog", daemon=True)
        self._checks.start()

    def status(self) -> list[Status]:
        """Return what is known of each camera, without secrets."""
        found = [watch.status() for watch in list(self._watches.values())]
        return [replace(each, why=self.site.without_secrets(each.why)) for each in found]

    def watch(self, name: str) -> Watch | None:
        """Return the camera called `name`."""
        return self._watches.get(name)

    @property
    def ready(self) -> bool:
        """Whether every camera has given a result, or is being tried again."""
        return all(each.state is not State.STARTING for each in self.status())

    def add(self, camera: CameraSite) -> None:
        """Watch another camera; raises InputError if there is one of its name."""
        with self._changing:
            if camera.name in self._watches:
                raise InputError(f"expected a new name, but there is a camera {camera.name}")
            self._begin(camera)

    def remove(self, name: str) -> None:
        """End the camera called `name`; raises InputError if there is none."""
        with self._changing:
            watch = self._watches.pop(name, None)
            self._cameras.pop(name, None)
        if watch is None:
            raise InputError(f"expected the name of a camera, found none that is called {name}")
        watch.stop()
        watch.join(CLOSE_S)

    def change(self, site: Site) -> tuple[list[str], list[str]]:
        """Add, remove and restart cameras so that they are those of `site`; the others go on.

        Returns the names of those that began and that ended. The model and the address are those of the start.
        """
        now = dict(self._cameras)
        wanted = {camera.name: camera for camera in site.cameras}
        ended = [name for name, camera in now.items() if wanted.get(name) != camera]
        began = [name for name, camera in wanted.items() if now.get(name) != camera]
        self.site = replace(site, server=self.site.server, model=self.site.model)
        for name in ended:
            self.remove(name)
        for name in began:
            self.add(wanted[name])
        return began, ended

    def close(self, timeout_s: float = CLOSE_S) -> int:
        """End all cameras; return how many have not ended within `timeout_s`, which are left behind."""
        self._ended.set()
        with self._changing:
            watches = list(self._watches.values())
        for watch in watches:
            watch.stop()
        deadline_s = time.monotonic() + timeout_s
        left = sum(not watch.join(deadline_s - time.monotonic()) for watch in watches)
        self._states.cleanup()
        return left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, camera: CameraSite) -> None:
        # A run that hangs or fails, or a process that dies, is followed by another one, which must give no id again.
        own = Path(self._states.name) / str(next(self._number)) / f"{camera.name}.state"
        state = own if camera.state is None else Path(camera.state)
        try:
            state.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"expected the folder {state.parent} for states, but {error.strerror}") from None
        watch = self._host.watch(replace(camera, state=str(state)), self._tell)
        self._cameras[camera.name], self._watches[camera.name] = camera, watch
        watch.start()

    def _check(self) -> None:
        while not self._ended.wait(CHECK_S):
            for watch in list(self._watches.values()):
                watch.release_if_stuck(time.monotonic())
