"""Events: what has happened to an object of a camera, kept in memory and as JSON lines in a file."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

KEPT = 1000  # events that are kept in memory


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the object with `track_id`.

    - `time_unix_s`: when, by the camera's clock where that is known, else by its arrival.
    - `kind`: "new", an object that was not seen before; "lost", one that is not seen any more; or "entered" and "left",
      which always come in pairs for an object and a `zone`.
    """

    time_unix_s: float
    camera: str
    kind: Literal["new", "entered", "left", "lost"]
    zone: str | None
    track_id: int
    class_name: str

    def to_json(self) -> dict[str, object]:
        """Return the event as JSON has it, its time rounded to ms."""
        named = asdict(self)
        return {"time": round(named.pop("time_unix_s"), 3), "id": named.pop("track_id"), **named}


class EventLog:
    """The newest events, and all of them as lines of the file at `path`, if there is one.

    Its methods may be called from any thread. `problem` is why the last event could not be written, empty if it was.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.problem = ""
        self._path, self._events = path, deque[Event](maxlen=KEPT)
        self._writing = threading.Lock()

    def add(self, event: Event) -> None:
        """Append an event; a full disk is no error, since cameras go on."""
        with self._writing:
            self._events.append(event)
            if self._path is not None:
                self._write(self._path, json.dumps(event.to_json()))

    def newest(self, count: int) -> list[Event]:
        """Return the last `count` events, the newest first."""
        with self._writing:
            return list(reversed(self._events))[:count]

    def _write(self, path: Path, line: str) -> None:
        # Opened each time, so that a program such as logrotate may move the file.
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            self.problem = f"expected to write events to {path}, but {error.strerror}"
        else:
            self.problem = ""
