"""How long a live stream may show nothing: none of its packets comes, or those that come are no pictures."""

from __future__ import annotations

import time

from streamdet.errors import SourceSilent
from streamdet.video.failures import silent_error, undecodable_error

# A stream that is joined between two key frames is undecodable until the second, which some cameras send every 10 s.
_KEY_FRAME_PATIENCE = 4


class Silence:
    """Watches the live stream `name`: a packet of its video must come every `patience_s`.

    One of them must be decodable within four times as long. The time in which a reader works on a packet or frame does
    not count: ``heard`` is called when it asks for the next packet, ``seen`` when it asks for the next frame.
    """

    def __init__(self, name: str, patience_s: float) -> None:
        self._name, self._patience_s = name, patience_s
        self._heard_s = self._seen_s = time.monotonic()

    def heard(self) -> None:
        """Note that a packet of the video has come."""
        self._heard_s = time.monotonic()

    def seen(self) -> None:
        """Note that a frame has been decoded."""
        self._seen_s = time.monotonic()

    def error(self) -> SourceSilent | None:
        """Return the error to raise if the stream is silent for too long, else None."""
        now_s = time.monotonic()
        if now_s - self._heard_s > self._patience_s:
            return silent_error(self._name, self._patience_s)
        if now_s - self._seen_s > (longest_s := _KEY_FRAME_PATIENCE * self._patience_s):
            return undecodable_error(self._name, longest_s)
        return None
