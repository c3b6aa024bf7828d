"""A process that tries inputs: what hangs, dies or takes all memory is an outcome like others."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, NamedTuple, Self

MAX_SENTENCE = 300  # characters, without the folder that the input lies in and a list of known names
MAX_MEMORY_BYTES = 1 << 30  # for one input, beside what the process had before
_START_S = 120.0

Kind = Literal["accepted", "refused", "FAULT"]


class Outcome(NamedTuple):
    """What became of an input; `detail` is the sentence of a refusal, or what was wrong."""

    kind: Kind
    detail: str = ""


class Worker:
    """Tries inputs in a process of its own, which begins anew after an input that ended it or took over `limit_s`."""

    def __init__(self, folder: Path, limit_s: float = 10.0) -> None:
        self._folder, self._limit_s = folder, limit_s
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def seeds(self, door: str) -> list[bytes]:
        """Return the right inputs of a door."""
        self._connection.send((door, None))
        found: list[bytes] = self._connection.recv()
        return found

    def __call__(self, door: str, content: bytes) -> Outcome:
        """Return what becomes of the input `content` at a door."""
        self._connection.send((door, content))
        if self._connection.poll(self._limit_s):
            try:
                outcome: Outcome = self._connection.recv()
                return outcome
            except EOFError:
                self._process.join()
                problem = f"the process ended with code {self._process.exitcode}"
        else:
            problem = f"no end after {self._limit_s:g} s"
        self._end()
        self._start()
        return Outcome("FAULT", problem)

    def _start(self) -> None:
        # A fork would inherit the threads of this process.
        spawn = multiprocessing.get_context("spawn")
        self._connection, other = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(other, self._folder), daemon=True)
        self._process.start()
        other.close()
        if not self._connection.poll(_START_S):
            raise TimeoutError(f"expected a process to begin within {_START_S:g} s")
        self._connection.recv()

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()


def _serve(connection: Connection, folder: Path) -> None:
    """Answer inputs with outcomes, until the process is killed."""
    from tests.fuzz.doors import DOORS

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 4 * MAX_MEMORY_BYTES  # threads reserve more than they take
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Path(os.devnull).open("w") as nowhere:  # libraries in C write to the descriptors
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    connection.send("begun")
    while True:
        name, content = connection.recv()
        connection.send(DOORS[name].seeds(folder) if content is None else _outcome(name, content, folder))


def _outcome(name: str, content: bytes, folder: Path) -> Outcome:
    from streamdet.errors import StreamdetError
    from tests.fuzz.doors import DOORS

    before, begun_s = _peak_bytes(), time.monotonic()
    try:
        DOORS[name].enter(content, folder)
        found = Outcome("accepted")
    except StreamdetError as error:
        found = _refusal(str(error).replace(str(folder), ""))
    except Exception as error:
        # A subclass such as UnicodeDecodeError is no sentence of ours.
        is_sentence = type(error) is ValueError
        text = str(error).replace(str(folder), "")
        found = _refusal(text) if is_sentence else Outcome("FAULT", f"{type(error).__name__}: {text[:MAX_SENTENCE]}")
    if (taken := _peak_bytes() - before) > MAX_MEMORY_BYTES:
        return Outcome("FAULT", f"{taken >> 20} MB of memory in {time.monotonic() - begun_s:.1f} s")
    return found


def _refusal(sentence: str) -> Outcome:
    if len(sentence.partition("; known: ")[0]) > MAX_SENTENCE:
        return Outcome("FAULT", f"a sentence of {len(sentence)} characters: {sentence[:MAX_SENTENCE]!a}")
    if not sentence or not sentence.isprintable():
        return Outcome("FAULT", f"no printable sentence: {sentence!a}")
    return Outcome("refused", sentence)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
