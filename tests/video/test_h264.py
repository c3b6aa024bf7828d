"""Gaps in the frame numbers of H.264, beside streams of x264 of which packets are left out."""

from fractions import Fraction

import av
import numpy as np
import pytest

from streamdet.video.h264 import FrameNumbers


def coded(options: dict[str, str], count: int = 40) -> list[av.Packet]:
    """Return noise as packets of H.264, in the order of decoding; key frames are ten apart."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 64, 48, "yuv420p", Fraction(1, 25)
    context.options = {"g": "10", "x264-params": "scenecut=0"} | options
    random = np.random.default_rng(0)
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(random.integers(0, 255, (48, 64, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += context.encode(frame)
    return [*packets, *context.encode(None)]


def gaps(packets: list[av.Packet]) -> list[int]:
    """Return the places of the packets ahead of which one is missing."""
    numbers = FrameNumbers(b"")
    return [place for place, packet in enumerate(packets) if numbers.has_gap(bytes(packet))]


KINDS = (
    {"profile": "baseline"},
    {"profile": "main", "bf": "2"},
    {"profile": "high", "bf": "3", "b-pyramid": "normal"},
    {"profile": "high", "bf": "0", "flags": "+ildct+ilme"},
)


@pytest.mark.parametrize("options", KINDS)
def test_a_stream_without_loss_has_no_gap(options: dict[str, str]) -> None:
    assert gaps(coded(options)) == []


@pytest.mark.parametrize("options", KINDS)
def test_a_picture_that_others_refer_to_is_missed(options: dict[str, str]) -> None:
    packets = coded(options)
    for place in range(1, 30):
        found = gaps(packets[:place] + packets[place + 1 :])
        if b"\0\0\1\x01" in bytes(packets[place]) or packets[place + 1].is_keyframe:
            assert found == []
        elif not packets[place].is_keyframe:
            assert found == [place]


def test_a_stream_whose_gaps_are_intended_has_none() -> None:
    packets = coded({"profile": "baseline"})
    # Section 7.3.2.1.1: three bytes of the profile, then the numbers 0, 0 (4 bits), 2 and 1, and the flag.
    declared = b"\0\0\1\x67\x42\xc0\x0a" + bytes([0b11011010, 0b10000000])
    assert packets[7].is_keyframe is packets[5].is_keyframe is False
    for sps, expected in ((declared, False), (declared[:-2] + bytes([0b11011010, 0]), True)):
        numbers = FrameNumbers(sps)
        numbers.has_gap(bytes(packets[5]))
        assert numbers.has_gap(bytes(packets[7])) is expected


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\1", b"\0\0\1\x67", b"\0\0\1\x67" + bytes(600), b"\0\0\1\x41", b"\xff" * 9]
)
def test_what_is_cut_off_has_no_gap(content: bytes) -> None:
    assert not FrameNumbers(content).has_gap(content)
