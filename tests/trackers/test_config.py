"""Trackers by name, with settings of their own."""

from dataclasses import dataclass

import pytest

from trackers.bytetrack import ByteTrack
from trackers.config import TRACKERS, parse_config
from trackers.types import Config


def test_a_buffer_in_frames_is_no_setting_of_a_tracker_without_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, slots=True)
    class Bare(Config):
        """One setting."""

        reach: float = 0.5

    monkeypatch.setitem(TRACKERS, "bare", (ByteTrack, Bare))
    with pytest.raises(ValueError, match="track_buffer is not a setting of bare"):
        parse_config({"tracker_type": "bare", "track_buffer": 30})
