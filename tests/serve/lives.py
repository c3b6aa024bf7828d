"""What runs in place of a worker's loop, in a process of its own: the file of the "model" counts the processes."""

from __future__ import annotations

import threading
from multiprocessing.connection import Connection
from pathlib import Path

from streamdet.errors import StreamdetError
from streamdet.options import ModelOptions
from streamdet.serve.watch import State, Status
from streamdet.serve.worker import Failed, News


def lives(model: ModelOptions) -> int:
    """Note another life, and return which one it is, from 1."""
    path = Path(str(model.model))
    with path.open("a") as file:
        file.write("x")
    return len(path.read_text())


def cameras(abandoned: int) -> list[Status]:
    return [Status("a", "0", State.LIVE, "", 0.0, abandoned=abandoned)]


def stuck_at_first(connection: Connection, model: ModelOptions) -> None:
    """Have three stuck threads once a camera has come, and end when that is asked for; later lives have none."""
    is_first = lives(model) == 1
    connection.send(News([]))
    while connection.recv() is not None:
        if is_first:
            connection.send(News(cameras(abandoned=3)))


def stuck_for_good(connection: Connection, model: ModelOptions) -> None:
    lives(model)
    connection.send(News(cameras(abandoned=3)))
    threading.Event().wait()


def silent(connection: Connection, model: ModelOptions) -> None:
    lives(model)
    connection.send(News([]))
    threading.Event().wait()


def failing_later(connection: Connection, model: ModelOptions) -> None:
    if lives(model) == 2:
        connection.send(Failed(StreamdetError("too little memory")))
        return
    connection.send(News([]))
    while connection.recv() is not None:
        pass
