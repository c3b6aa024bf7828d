"""What cameras do with their viewers: send all pictures, report the time, or fail in one of many ways."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from random import Random

from benchmarks.watching.broadcast import Broadcast
from tests.live.rtp import TICKS_PER_S
from tests.live.rtsp_server import Viewer

Play = Callable[[Broadcast, Viewer], None]

FLAKY = 5  # pictures from one breakdown to the next
REPORT_S = 5  # between two sender reports (RFC 3550, section 6.2)
WELL_S = 10  # before a fault
LOSS_S, LOST = 2, 0.05  # how long packets are lost, and which part of them
LOCKED_S = 3  # how long a password is refused
# Clocks of cameras: by how many s they are wrong, by the s since the first picture. One gains 0.2 ms a second.
CLOCKS: dict[str, Callable[[float], float]] = {
    "right": lambda time_s: 0.0,
    "3 s ahead": lambda time_s: 3.0,
    "fast": lambda time_s: 2e-4 * time_s - 0.25,
}


def steady(camera: Broadcast, viewer: Viewer) -> None:
    """Send all pictures."""
    for number in camera.due(viewer):
        camera.send(viewer, number)


def flaky(camera: Broadcast, viewer: Viewer) -> None:
    """Break the connection off after a few pictures."""
    for number in islice(camera.due(viewer), FLAKY):
        camera.send(viewer, number)
    viewer.reset()


def reporting(error_s: Callable[[float], float], camera: Broadcast, viewer: Viewer) -> None:
    """Send all pictures, and a sender report every few seconds from a clock that is wrong by `error_s`."""
    for number in camera.due(viewer):
        if number % (REPORT_S * camera.rate) == 0:
            viewer.report(number, error_s=error_s(float(number / camera.rate)))
        camera.send(viewer, number)


def failing(fault: Play, camera: Broadcast, viewer: Viewer) -> None:
    """Send pictures for a while, then fail once; this viewer, if the fault lets it, and later ones see what follows."""
    for sent, number in enumerate(camera.due(viewer)):
        if sent == WELL_S * camera.rate and not camera.has_failed:
            camera.has_failed = True
            camera.note("fault")
            fault(camera, viewer)
        camera.send(viewer, number)


def stall(camera: Broadcast, viewer: Viewer) -> None:
    """Send nothing more, with the connection open."""
    viewer.left.wait()


def vanish(camera: Broadcast, viewer: Viewer) -> None:
    """Answer nothing more either: the connection is half open."""
    viewer.vanish()
    viewer.left.wait()


def close(camera: Broadcast, viewer: Viewer) -> None:
    """Break the connection off."""
    viewer.reset()


def jump(camera: Broadcast, viewer: Viewer) -> None:
    """Let the clock of the packets jump back by an hour."""
    viewer.clock -= 3600 * TICKS_PER_S


def resize(camera: Broadcast, viewer: Viewer) -> None:
    """Go on with smaller pictures."""
    viewer.reel = camera.smaller


def lose(camera: Broadcast, viewer: Viewer) -> None:
    """Lose packets for some time."""
    transmit, until_s, chance = viewer.transmit, time.monotonic() + LOSS_S, Random(0)

    def transmit_some(channel: int, packet: bytes) -> None:
        if time.monotonic() > until_s or chance.random() > LOST:
            transmit(channel, packet)

    viewer.transmit = transmit_some  # type: ignore[method-assign]


def lock(camera: Broadcast, viewer: Viewer) -> None:
    """Break off, and refuse the password for some time."""
    camera.server.password = "nobody", "knows"
    viewer.reset()
    time.sleep(LOCKED_S)
    camera.server.password = None
    camera.note("well")


FAULTS: dict[str, Play] = {
    "stall": stall,
    "half open": vanish,
    "abrupt close": close,
    "clock jumps back": jump,
    "smaller pictures": resize,
    "lost packets": lose,
    "401": lock,
}
PLAYS: dict[str, Play] = {
    "steady": steady,
    "flaky": flaky,
    **{name: partial(reporting, error_s) for name, error_s in CLOCKS.items()},
    **{name: partial(failing, fault) for name, fault in FAULTS.items()},
}
