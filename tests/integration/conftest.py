"""A real RTSP server."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# GStreamer comes with the system's Python, not with ours.
PYTHON = "/usr/bin/python3"
SERVER = """
import gi, sys
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
for path, source in (
    ("/live", "videotestsrc is-live=true pattern=white ! video/x-raw,width=320,height=240,framerate=25/1"
              " ! x264enc tune=zerolatency key-int-max=25"),
    ("/short", "videotestsrc is-live=true num-buffers=30 ! video/x-raw,width=320,height=240,framerate=25/1"
               " ! x264enc tune=zerolatency key-int-max=25"),
    ("/clip", f"filesrc location={sys.argv[1]} ! qtdemux ! h264parse"),
):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {source} ! rtph264pay name=pay0 pt=96 config-interval=1 )")
    factory.set_shared(True)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture
def server(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server; gives its process and the URL its streams begin with."""
    clip = data / "videos" / "car-detection.mp4"
    check = 'import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import GstRtspServer'
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode:
        reason = (
            "needs the Debian packages gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-{base,good,ugly}"
        )
        if os.environ.get("STREAMDET_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    process = subprocess.Popen([PYTHON, "-c", SERVER, str(clip)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, f"rtsp://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.wait()
    process.stdout.close()
