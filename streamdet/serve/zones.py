"""The events of objects that appear, move through the zones of a camera's picture, and are lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from streamdet.result import Result
from streamdet.rows import class_name
from streamdet.serve.events import Event
from streamdet.serve.options import Zone
from streamdet.types import Float32Array, Frame

LOST_S = 3.0  # an object that is not seen for as long is lost: longer than trackers look for it
# An object leaves when it is this share of its height outside, so that one on the border does not come and go.
MARGIN = 0.1


@dataclass
class _Object:
    """What is known of an object: when and where its ground point was seen last, and the zones that it is in.

    `seen_s` is on the scale of ``time.monotonic()``, which goes on over connections and runs.
    """

    class_name: str
    seen_s: float
    seen_unix_s: float
    ground: Float32Array
    zones: set[str] = field(default_factory=set)


class Movements:
    """Makes the events of a camera's objects of its results, one after the other.

    An object is where its ground point is, the middle of the lower edge of its box. Only what was detected counts: a
    predicted track neither enters nor leaves.
    """

    def __init__(self, camera: str, zones: Sequence[Zone]) -> None:
        self._camera, self._zones = camera, zones
        self._objects: dict[int, _Object] = {}

    def update(self, result: Result) -> Iterator[Event]:
        """Yield the events of the next result, in order of time for each object."""
        tracks, now_s, now_unix_s = result.tracks, result.frame.received_at, captured_unix_s(result.frame)
        image_hw = result.frame.image.shape[:2]
        polygons = [np.array(zone.corners(image_hw), np.float32) for zone in self._zones]
        for index in np.nonzero(tracks.detection_index >= 0)[0]:
            track_id, box = int(tracks.ids[index]), tracks.boxes[index]
            name = class_name(int(tracks.class_ids[index]), result.class_names)
            ground = np.array([(box[0] + box[2]) / 2, box[3]], np.float32)
            known = self._objects.get(track_id)
            if known is None:
                known = self._objects[track_id] = _Object(name, now_s, now_unix_s, ground)
                yield Event(now_unix_s, self._camera, "new", None, track_id, name)
            before, known.ground, known.class_name = known.ground, ground, name
            known.seen_s, known.seen_unix_s = now_s, now_unix_s
            margin_px = MARGIN * float(box[3] - box[1])
            for zone, corners in zip(self._zones, polygons, strict=True):
                yield from self._crossed(zone, corners, track_id, before, margin_px)
        yield from self._lost(now_s)

    def _crossed(
        self, zone: Zone, corners: Float32Array, track_id: int, before: Float32Array, margin_px: float
    ) -> Iterator[Event]:
        """Yield how an object that was at `before` has entered or left a zone."""
        known = self._objects[track_id]
        depth_px = cv2.pointPolygonTest(corners, known.ground.tolist(), measureDist=True)
        is_in, counts = zone.name in known.zones, not zone.objects or known.class_name in zone.objects
        has_passed = not is_in and depth_px < 0 and crosses(corners, before, known.ground)
        if counts and not is_in and (depth_px >= 0 or has_passed):
            known.zones.add(zone.name)
            yield self._event("entered", zone.name, track_id)
        if zone.name in known.zones and (depth_px < -margin_px or has_passed):
            known.zones.remove(zone.name)
            yield self._event("left", zone.name, track_id)

    def _lost(self, now_s: float) -> Iterator[Event]:
        """Yield the events of objects that are not seen any more, at the time when they were seen last."""
        for track_id, known in list(self._objects.items()):
            if now_s - known.seen_s >= LOST_S:
                for zone in sorted(known.zones):
                    yield self._event("left", zone, track_id)
                yield self._event("lost", None, track_id)
                del self._objects[track_id]

    def _event(self, kind: Any, zone: str | None, track_id: int) -> Event:
        known = self._objects[track_id]
        return Event(known.seen_unix_s, self._camera, kind, zone, track_id, known.class_name)


def captured_unix_s(frame: Frame) -> float:
    """Return when the camera took a frame, in s since 1970; where that is not known, when the frame arrived."""
    arrived_s = time.time() - (time.monotonic() - frame.received_at)
    return arrived_s if frame.captured_at is None else float(frame.captured_at)


def crosses(corners: Float32Array, start: Float32Array, end: Float32Array) -> bool:
    """Return whether the way from `start` to `end`, (2,) in px, cuts an edge of the polygon `corners` (n, 2)."""

    def side(a: Any, b: Any, c: Any) -> Any:
        """Return on which side of the line from a to b the point c lies, by the sign of the cross product."""
        (ux, uy), (vx, vy) = (b - a).T, (c - a).T
        return np.sign(ux * vy - uy * vx)

    following = np.roll(corners, -1, axis=0)
    apart = side(start, end, corners) != side(start, end, following)
    return bool((apart & (side(corners, following, start) != side(corners, following, end))).any())
