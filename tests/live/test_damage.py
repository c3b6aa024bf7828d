"""Packets that are lost on the way: what is shown is whole, and goes on with the next key frame."""

from __future__ import annotations

import numpy as np
import pytest

from streamdet.pipeline.pipeline import Pipeline
from streamdet.types import Frame
from streamdet.video.source import open_source
from tests.live.counter import drawn
from tests.live.film import KEY_INTERVAL, Film, film, rtp_payloads
from tests.live.rtp import TICKS_PER_S
from tests.live.rtsp_server import RtspServer, Viewer
from tests.live.viewing import LONG_S, numbers, seen, times, view
from tests.pipeline.fakes import FakeSession

NOISE = 24  # of 255, by which coding changes a pixel of the film at most
SCALE = 4
FIRST, LAST = KEY_INTERVAL, 2 * KEY_INTERVAL  # the pictures that packets are lost of


def sent(reel: Film) -> list[tuple[int, bytes, bool]]:
    """Return the payloads of 30 pictures, with their numbers, and whether each is the last of its picture."""
    found = []
    for number in range(30):
        payloads = [payload for unit in reel.access_unit(number) for payload in rtp_payloads(unit)]
        found += [(number, payload, payload is payloads[-1]) for payload in payloads]
    return found


def largest_error(frames: list[Frame]) -> int:
    """Return by how much a pixel differs from what was filmed at its time."""
    pairs = ((frame.image[:, :, 1], drawn(int(time), SCALE)) for frame, time in zip(frames, times(frames), strict=True))
    return max(int(np.abs(image.astype(int) - filmed).max()) for image, filmed in pairs)


def lossy(reel: Film, place: int) -> tuple[list[Frame], int]:
    """Return what is seen of `reel` if the payload at this place is lost, and the number of damaged ones."""

    def script(viewer: Viewer) -> None:
        for index, (number, payload, last) in enumerate(sent(reel)):
            viewer.lose() if index == place else viewer.send_payload(payload, number, last=last)
        viewer.close()

    with RtspServer(script, reel=reel) as server:
        source = open_source(server.url, timeout_s=LONG_S)
        return seen(source)[0], source.damaged


def test_whichever_packet_is_lost_no_damaged_picture_is_shown() -> None:
    reel = film(30, SCALE)
    places = [place for place, (number, _, _) in enumerate(sent(reel)) if FIRST <= number < LAST]
    assert len(places) > KEY_INTERVAL  # pictures are cut into parts
    for place in places:
        lost, (frames, damaged) = sent(reel)[place][0], lossy(reel, place)
        assert largest_error(frames) <= NOISE
        shown = times(frames)
        assert shown[:lost] == list(range(lost))
        assert shown[-10:] == list(range(LAST, 30))
        assert damaged or len(shown) >= 29  # what refers to a picture that is gone is not decoded, and not counted


def test_a_whole_film_has_no_damage() -> None:
    frames, damaged = lossy(film(30, SCALE), place=-1)
    assert numbers(frames) == list(range(30))
    assert largest_error(frames) <= NOISE
    assert damaged == 0


def test_frames_without_a_key_frame_are_shown_again_after_10_s() -> None:
    """A picture that is refreshed part by part, without key frames, is whole again by then."""

    def script(viewer: Viewer) -> None:
        viewer.send(range(13))
        viewer.lose()
        for number in range(14, 20):
            viewer.send([number])
            viewer.clock += 3 * TICKS_PER_S
        viewer.close()

    frames, _ = view(script)
    # The numbers 14 to 19 come at 0, 3, 6, … s.
    assert numbers(frames)[:13] == list(range(13))
    assert len(frames) == 13 + 2


def test_statistics_of_a_run_count_damaged_frames() -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(13))
        viewer.lose()
        viewer.send(range(14, 30))
        viewer.close()

    with RtspServer(script) as server, Pipeline.from_session(FakeSession()) as pipeline:
        run = pipeline.run(server.url, timeout_s=LONG_S)
        with pytest.raises(Exception, match="ended"):
            list(run)
        assert run.stats.damaged == 6
