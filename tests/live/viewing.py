"""Scripts and viewers that tests of cameras share."""

from __future__ import annotations

from fractions import Fraction

import pytest

from streamdet.errors import SourceError
from streamdet.types import Frame
from streamdet.video.source import Source, open_source
from tests.live.counter import number_in
from tests.live.film import RATE
from tests.live.rtsp_server import RtspServer, Script, Viewer

# How long a camera may be silent, where that is what a test waits for; where it is not, waiting is no failure.
BRIEF_S, LONG_S = 0.8, 30.0


def plays(viewer: Viewer) -> None:
    """Send 30 pictures, and end."""
    viewer.send(range(30))
    viewer.close()


def plays_on(viewer: Viewer) -> None:
    """Send the next 20 pictures, and end."""
    viewer.send(range(20, 40))
    viewer.close()


def seen(source: Source) -> tuple[list[Frame], SourceError]:
    """Read `source` to its end, and return its frames and its error."""
    frames: list[Frame] = []
    with source, pytest.raises(SourceError) as caught:
        frames.extend(source)
    return frames, caught.value


def view(script: Script, timeout_s: float = LONG_S, **camera: object) -> tuple[list[Frame], SourceError]:
    """Play `script` to a viewer, and return what it has seen."""
    with RtspServer(script, **camera) as server:  # type: ignore[arg-type]
        return seen(open_source(server.url, timeout_s=timeout_s))


def refusal(script: Script = plays, timeout_s: float = LONG_S, **camera: object) -> SourceError:
    """Return the error by which a camera cannot be opened."""
    with RtspServer(script, **camera) as server, pytest.raises(SourceError) as caught:  # type: ignore[arg-type]
        open_source(server.url, timeout_s=timeout_s)
    assert "rtsp://127.0.0.1:" in str(caught.value)
    return caught.value


def numbers(frames: list[Frame]) -> list[int]:
    return [number_in(frame.image) for frame in frames]


def times(frames: list[Frame]) -> list[Fraction]:
    """Return the times of `frames` in pictures of the film."""
    return [frame.time * RATE for frame in frames]
