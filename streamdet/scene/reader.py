"""Shows a rendered scene as a video."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

from streamdet.scene.scene import Scene
from streamdet.scene.settings import parse_scene_url
from streamdet.types import VideoInfo
from streamdet.video.location import RenderedUrl
from streamdet.video.picture import Picture


class SceneReader:
    """The frames of the scene at `location`, each rendered when it is wanted; raises InputError for a wrong URL."""

    damaged = 0

    def __init__(self, location: RenderedUrl) -> None:
        self._scene = Scene(parse_scene_url(location.name))
        self._stopped = threading.Event()
        width, height = self._scene.size
        self.info = VideoInfo(width, height, self._scene.frame_rate, self._scene.frame_count, live=False)

    @property
    def warnings(self) -> list[str]:
        """Nothing can go wrong."""
        return []

    def pictures(self) -> Iterator[Picture]:
        """Yield the frames in order; the k-th is shown at k frame periods."""
        for index in range(self._scene.frame_count):
            if self._stopped.is_set():
                return
            yield Picture(index, 1 / self._scene.frame_rate, partial(self._scene.frame, index))

    def stop(self) -> None:
        """End `pictures` after the current frame; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing stays open between frames."""
