"""When packets arrived, by scripted clocks of a camera and of its reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from streamdet.video.arrivals import READ_S, Arrivals

PERIOD_S = 0.04


@dataclass
class Camera:
    """Packets that reach the system at `comes_s`, with their `stamps`; a read waits for one that has not come yet."""

    comes_s: Iterable[float]
    stamps: Iterable[int]
    now_s: float = 0.0

    def packets(self) -> Iterator[Any]:
        for comes_s, stamp in zip(self.comes_s, self.stamps, strict=True):
            self.now_s = max(self.now_s, comes_s)
            stream = SimpleNamespace(type="video")
            yield SimpleNamespace(pts=stamp, dts=stamp, time_base=Fraction(1, 1000), stream=stream)


def arrivals(camera: Camera, busy: dict[int, float] | None = None) -> list[float]:
    """Return when the packets arrived for a reader that is `busy` for so many s after the packets of these numbers."""
    arrived = Arrivals(lambda: camera.now_s)
    found = []
    for number, packet in enumerate(arrived.timed(camera.packets())):
        time_s = arrived.time_of(packet.pts)
        assert time_s is not None
        assert time_s <= camera.now_s + 1e-9
        found.append(time_s)
        camera.now_s += (busy or {}).get(number, 0.0)
    return found


def regular(count: int, period_s: float = PERIOD_S, stamp_ms: int = 40) -> Camera:
    return Camera([period_s * k for k in range(count)], range(0, count * stamp_ms, stamp_ms))


def test_what_is_read_as_it_comes_has_just_arrived() -> None:
    assert arrivals(regular(10)) == pytest.approx([PERIOD_S * k for k in range(10)])


def test_what_waited_for_its_reader_arrived_before() -> None:
    """The reader is away for a second after the third packet: 25 packets wait meanwhile."""
    assert arrivals(regular(40), busy={3: 1.0}) == pytest.approx([PERIOD_S * k for k in range(40)])


def test_a_reader_that_stays_behind_is_told_so() -> None:
    """Each packet takes 50 ms, one comes every 40: after 100 packets the last one has waited for a second."""
    camera = regular(101)
    arrived = arrivals(camera, busy=dict.fromkeys(range(100), 0.05))
    assert camera.now_s - arrived[-1] == pytest.approx(1.0)


def test_time_stamps_that_pass_too_slowly_are_not_believed() -> None:
    """Packets come every 40 ms, 20 ms apart by their stamps."""
    arrived = arrivals(regular(50, stamp_ms=20))
    assert arrived == pytest.approx([PERIOD_S * k for k in range(50)], abs=50 * READ_S)


def test_a_pause_in_the_network_is_no_waiting_of_packets() -> None:
    comes_s = [0.0, 0.04, 1.08, 1.12]
    assert arrivals(Camera(comes_s, [0, 40, 80, 120])) == pytest.approx(comes_s, abs=2 * READ_S)


def test_packets_of_before_the_connection_do_not_make_later_ones_late() -> None:
    """The server sends the last second at once."""
    comes_s = [0.0] * 25 + [PERIOD_S * k for k in range(1, 10)]
    assert arrivals(Camera(comes_s, range(0, 34 * 40, 40)))[24:] == pytest.approx(comes_s[24:])


@pytest.mark.parametrize("jump_ms", [-90_000, 3_600_000])
def test_stamps_that_jump_begin_anew(jump_ms: int) -> None:
    comes_s = [PERIOD_S * k for k in range(8)]
    stamps = [100_000 + 40 * k + (jump_ms if k >= 4 else 0) for k in range(8)]
    assert arrivals(Camera(comes_s, stamps)) == pytest.approx(comes_s)


def test_a_packet_without_a_time_is_not_known() -> None:
    arrived = Arrivals(lambda: 1.0)
    packet: Any = SimpleNamespace(pts=None, dts=None, time_base=None, stream=SimpleNamespace(type="video"))
    assert list(arrived.timed(iter([packet]))) == [packet]
    assert arrived.time_of(None) is None
    assert arrived.time_of(7) is None
