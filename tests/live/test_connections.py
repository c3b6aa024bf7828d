"""A camera that is connected again and again."""

from __future__ import annotations

import gc
import weakref
from itertools import islice

from streamdet.pipeline.camera import Camera
from streamdet.video.source import Source, open_source
from tests.live.rtsp_server import RtspServer
from tests.live.viewing import LONG_S, numbers, plays


def test_nothing_is_kept_of_the_connections_before() -> None:
    opened: list[weakref.ref[Source]] = []

    def connect() -> Source:
        source = open_source(server.url, timeout_s=LONG_S)
        opened.append(weakref.ref(source))
        return source

    with RtspServer(plays) as server:
        camera = Camera(connect(), connect, wait=lambda seconds: False)
        assert numbers(list(islice(camera, 80))) == [*range(30), *range(30), *range(20)]
        gc.collect()
        assert [source() is None for source in opened] == [True, True, False]
        camera.close()
