"""A process that watches cameras for a server in another one: its loop, and what the two say to each other.

They speak over one pipe, whose end is the end of the process too. Requests and answers are numbered. Frames stay here:
what crosses is the state of the cameras, their events, and pictures that were asked for.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from streamdet.errors import InputError, StreamdetError
from streamdet.options import ModelOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.serve.events import Event
from streamdet.serve.local import InProcess
from streamdet.serve.options import CameraSite
from streamdet.serve.server import Server
from streamdet.serve.site import Site
from streamdet.serve.watch import Status

NEWS_S = 0.25  # between two messages about the state of all cameras
END_S = 2.0  # how long the cameras, and then the model, may take to end


@dataclass(frozen=True)
class Begin:
    """Watch `camera`."""

    camera: CameraSite


@dataclass(frozen=True)
class End:
    """End the camera called `name`."""

    name: str


@dataclass(frozen=True)
class Picture:
    """Answer the newest picture of the camera called `name`, JPEG as bytes, None if there is none."""

    name: str


Request = Begin | End | Picture


class Call(NamedTuple):
    """A `request`, which is answered by its `number`."""

    number: int
    request: Request


class Answer(NamedTuple):
    """What the call with this `number` returned, or the error that it raised."""

    number: int
    value: Any = None
    error: StreamdetError | None = None


class News(NamedTuple):
    """The state of all cameras; the first news say that the model is loaded."""

    cameras: list[Status]


class Failed(NamedTuple):
    """The model cannot be loaded."""

    error: StreamdetError


def work(connection: Connection, model: ModelOptions) -> None:
    """Watch the cameras that come over `connection` until it closes, or None comes."""
    try:
        pipeline = Pipeline.from_options(model)
    except StreamdetError as error:
        connection.send(Failed(_plain(error)))
        return
    desk = _Desk(connection, pipeline)
    desk.serve()
    desk.server.close(END_S)
    pipeline.close(END_S)
    os._exit(0)  # a thread that is left behind in a native call would abort an ordinary end


class _Desk:
    """Answers the calls that come over a connection, and tells the news and the events of its `server`."""

    def __init__(self, connection: Connection, pipeline: Pipeline) -> None:
        self.server = Server(Site(), InProcess(pipeline), self._tell)
        self._connection = connection
        self._sending, self._ended = threading.Lock(), threading.Event()

    def serve(self) -> None:
        """Answer until the connection closes, or None comes."""
        threading.Thread(target=self._tell_news, name="news", daemon=True).start()
        try:
            while (call := self._connection.recv()) is not None:
                # Each in its own thread: the end of a camera may take seconds.
                threading.Thread(target=self._answer, args=call, name="call", daemon=True).start()
        except (EOFError, OSError):
            pass  # the server has ended, or was killed
        self._ended.set()

    def _tell_news(self) -> None:
        while not self._ended.is_set():
            with self._sending:  # so that a camera that has ended is in no news after the answer that says so
                self._send(News(self.server.status()))
            self._ended.wait(NEWS_S)

    def _answer(self, number: int, request: Request) -> None:
        try:
            answer = Answer(number, self._result(request))
        except StreamdetError as error:
            answer = Answer(number, error=_plain(error))
        with self._sending:
            self._send(answer)

    def _result(self, request: Request) -> Any:
        match request:
            case Begin(camera):
                self.server.add(camera)
            case End(name):
                self.server.remove(name)
            case Picture(name):
                watch = self.server.watch(name)
                return watch.jpeg() if watch else None
        return None

    def _tell(self, event: Event) -> None:
        with self._sending:
            self._send(event)

    def _send(self, message: News | Event | Answer) -> None:
        try:
            self._connection.send(message)
        except OSError:
            self._ended.set()


def _plain(error: StreamdetError) -> StreamdetError:
    """Return an error that can be sent: the constructors of some kinds take something else than their message."""
    return InputError(str(error)) if isinstance(error, InputError) else StreamdetError(str(error))
