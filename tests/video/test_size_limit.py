"""What announces too many pixels is refused before it takes memory."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from streamdet.errors import InputError
from streamdet.video.source import open_source

MakeClip = Callable[..., Path]
OPEN_WITH_LITTLE_MEMORY = """
import resource, sys
import streamdet.video.source, streamdet.data.images
from streamdet.errors import InputError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
try:
    streamdet.video.source.open_source(sys.argv[1])
except InputError as error:
    print(error)
"""


def write_bomb(path: Path, side_px: int = 40_000) -> Path:
    """Write a PNG of one bit a pixel, which is small as a file and large as RGB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = bytes((side_px + 7) // 8 + 1)
    rows = b"".join(packer.compress(row) for _ in range(side_px)) + packer.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def in_video(image: Path, path: Path) -> Path:
    """Write a video whose only packet is `image`, and whose header tells another size."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.codec_context.width = stream.codec_context.height = 64
        stream.codec_context.pix_fmt = "rgb24"
        container.start_encoding()
        packet = av.Packet(image.read_bytes())
        packet.pts = packet.dts = 0
        packet.stream, packet.is_keyframe = stream, True
        container.mux(packet)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by the means of Linux")
@pytest.mark.parametrize("kind", ["image", "folder", "video"])
def test_a_small_file_that_announces_a_huge_picture_is_refused(tmp_path: Path, kind: str) -> None:
    bomb = write_bomb(tmp_path / "bomb.png")
    path = {"image": bomb, "folder": tmp_path, "video": tmp_path / "bomb.mov"}[kind]
    if kind == "video":
        in_video(bomb, path)
    command = [sys.executable, "-c", OPEN_WITH_LITTLE_MEMORY, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.stderr == ""
    assert run.stdout.startswith("expected ")
    if kind != "video":
        assert run.stdout.strip().endswith(f"{bomb} announces 40000 x 40000 px, more than 100,000,000")


def test_the_limit_is_an_option(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip()
    with open_source(clip, max_pixels=96 * 64) as source:
        assert sum(1 for _ in source) == 30
    with pytest.raises(InputError, match=r"a video of at most 6,143 pixels, but .* has 96x64"):
        open_source(clip, max_pixels=96 * 64 - 1)
    image = write_bomb(tmp_path / "a.png", side_px=100)
    with open_source(image, max_pixels=10_000) as source:
        assert next(source).image.shape == (100, 100, 3)
    with pytest.raises(InputError, match="announces 100 x 100 px, more than 9,999"):
        open_source(image, max_pixels=9_999)
