"""Paints one moment: actors before the backdrop, each hidden by what stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scene.backdrop import FIRST_ITEM, Backdrop, Surroundings
from streamdet.scene.camera import Camera
from streamdet.scene.figures import SILHOUETTE, Figure, Placement, Sprite, rasterise
from streamdet.scene.ground import Texture
from streamdet.scene.light import Air, Light, darken, shine
from streamdet.scene.paths import Actor
from streamdet.scene.truth import SceneTruth
from streamdet.scene.vehicles import Vehicle
from streamdet.types import Float64Array, UInt8Array


def footprint(figure: Figure, moment: Placement) -> tuple[float, float, float, float]:
    """Return the rectangle (x1, y1, x2, y2) in m along the axes that holds `figure` at `moment`."""
    length, width = figure.half_size
    cos, sin = abs(np.cos(moment.heading)), abs(np.sin(moment.heading))
    reach_x, reach_y = length * cos + width * sin, length * sin + width * cos
    x, y = moment.origin[:2]
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y


def may_hide(eye: Float64Array, front: Float64Array, behind: Float64Array) -> npt.NDArray[np.bool_]:
    """Return (N, M) whether each of the rectangles `front` (N, 4) may hide each of `behind` (M, 4) from `eye` (x, y).

    A plane x = c or y = c between two with the eye on the side of one proves that the other does not hide it.
    """
    front, behind = front[:, None], behind[None]
    beyond = np.zeros(np.broadcast_shapes(front.shape, behind.shape)[:2], bool)
    for axis in (0, 1):
        beyond |= (front[..., axis] >= behind[..., axis + 2]) & (eye[axis] <= front[..., axis])
        beyond |= (front[..., axis + 2] <= behind[..., axis]) & (eye[axis] >= front[..., axis + 2])
    return ~beyond


def paint_order(eye: Float64Array, rectangles: Float64Array, distances: Float64Array) -> Sequence[int]:
    """Return the order from back to front of `rectangles` (N, 4) m seen from `eye`; doubts go by `distances` (N,) m."""
    hides = may_hide(eye, rectangles, rectangles)
    # Of two that may hide each other, overlapping ones, none has to wait for the other.
    waits = hides & ~hides.T
    waiting = waits.sum(axis=1)
    left = np.ones(len(rectangles), bool)
    order = []
    for _ in range(len(rectangles)):
        free = left & (waiting == 0)
        among = np.flatnonzero(free if free.any() else left)
        chosen = int(among[np.argmax(distances[among])])
        order.append(chosen)
        left[chosen] = False
        waiting -= waits[:, chosen]
    return order


_CONTACT_SHADE = 0.5
# An actor is drawn when its middle is at least so far before the camera.
_LEAST_DEPTH_M = 1.5
_TALLEST_M = 4.0
_HEADLIGHT, _REAR_LIGHT = np.array([1.0, 0.97, 0.85]), np.array([0.7, 0.06, 0.04])


@dataclass(frozen=True, slots=True)
class Painted:
    """An actor that is in the picture."""

    actor: Actor
    moment: Placement
    sprite: Sprite


class Painter:
    """What stands still, and the `light` on it."""

    def __init__(
        self,
        surroundings: Surroundings,
        backdrop: Backdrop,
        light: Light,
        air: Air,
        image_size: tuple[int, int],
        noise: Texture,
    ) -> None:
        self.light = light
        self._surroundings, self._backdrop, self._air = surroundings, backdrop, air
        self._shaded_light = replace(light, sun=np.zeros(3))
        self._image_size = image_size
        self._weave = _weave(noise, image_size)
        places = [
            (x - w, y - d, x + w, y + d) for x, y, w, d in ((*item.place, *item.half_size) for item in backdrop.items)
        ]
        self._item_rectangles = np.array(places).reshape(-1, 4)

    def paint(self, actors: Sequence[Actor], camera: Camera, time_s: float) -> tuple[UInt8Array, SceneTruth]:
        """Return the picture uint8 (H, W, 3) before weather and sensor, and the truth, at `time_s`."""
        image, shown = self._behind(camera)
        present = self._present(actors, camera, time_s)
        self._shadows(image, shown, present, camera)
        silhouettes = np.zeros(shown.shape, np.int32)
        painted = [self._put(image, silhouettes, shown, *entry, camera) for entry in self._in_order(present, camera)]
        in_picture = [entry for entry in painted if entry is not None]
        if self.light.dark:
            self._headlights(image, silhouettes, in_picture, camera)
        return image, _truth(in_picture, silhouettes)

    def _behind(self, camera: Camera) -> tuple[UInt8Array, UInt8Array]:
        """Return the backdrop, and what it shows, as `camera` sees it now."""
        image, shown = self._backdrop.image, self._backdrop.shown
        if np.array_equal(camera.to_image, np.eye(2, 3)):
            return image.copy(), shown
        # OpenCV counts from the centre of the first pixel: shift by half a pixel there and back.
        affine = camera.to_image.copy()
        affine[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5
        moved = cv2.warpAffine(image, affine, self._image_size, flags=cv2.INTER_LINEAR)
        return np.asarray(moved, np.uint8), np.asarray(
            cv2.warpAffine(shown, affine, self._image_size, flags=cv2.INTER_NEAREST), np.uint8
        )

    def _present(self, actors: Sequence[Actor], camera: Camera, time_s: float) -> list[tuple[Actor, Placement, float]]:
        """Return the actors that may be in the picture with their moments and depths in m."""
        moments = [actor.path.at(time_s) for actor in actors]
        px, depth = camera.project(np.array([moment.origin for moment in moments]).reshape(-1, 3))
        lengths = np.array([actor.figure.half_size[0] for actor in actors])
        reach = (camera.px_per_m(depth) * (lengths + _TALLEST_M))[:, None]
        near = ((px > -reach) & (px < np.array(self._image_size) + reach)).all(axis=1)
        rows = np.flatnonzero(near & (depth > _LEAST_DEPTH_M + lengths)).tolist()
        return [(actors[row], moments[row], float(depth[row])) for row in rows]

    def _in_order(
        self, present: list[tuple[Actor, Placement, float]], camera: Camera
    ) -> list[tuple[Actor, Placement, float, npt.NDArray[np.bool_]]]:
        """Return who is `present` from back to front, each with the items that may hide it."""
        if not present:
            return []
        rectangles = np.array([footprint(actor.figure, moment) for actor, moment, _ in present])
        eye = np.array(camera.position[:2])
        hidden_by = may_hide(eye, self._item_rectangles, rectangles).T
        # A rider comes after the cycle, whose identity is one less.
        distances = np.array([depth - 1e-6 * actor.id for actor, _, depth in present])
        return [(*present[i], hidden_by[i]) for i in paint_order(eye, rectangles, distances)]

    def _shadows(
        self, image: UInt8Array, shown: UInt8Array, present: list[tuple[Actor, Placement, float]], camera: Camera
    ) -> None:
        contacts = [outline for actor, moment, _ in present for outline in actor.figure.contact(moment)]
        if self.light.shadow > 0.1:
            sunny = [(a, m) for a, m, _ in present if self._surroundings.sunlit(m.origin)]
            cast = [outline for actor, moment in sunny for outline in actor.figure.shadow(self.light, moment)]
            darken(image, cast, self.light.shadow, camera, shown)
        darken(image, contacts, _CONTACT_SHADE, camera, shown, blur_px=5)

    def _put(
        self,
        image: UInt8Array,
        silhouettes: npt.NDArray[np.int32],
        shown: UInt8Array,
        actor: Actor,
        moment: Placement,
        depth: float,
        hidden_by: npt.NDArray[np.bool_],
        camera: Camera,
    ) -> Painted | None:
        """Lay one actor over `image` and its identity over `silhouettes`; None when it is not in the picture."""
        light = self.light if self._surroundings.sunlit(moment.origin) else self._shaded_light
        sprite = rasterise(actor.figure.polygons(camera, light, moment), self._image_size)
        if sprite is None or not (sprite.cover >= SILHOUETTE).any():
            return None
        covered = np.zeros(256, np.uint8)
        covered[FIRST_ITEM : FIRST_ITEM + len(hidden_by)][hidden_by] = 255
        before = cv2.LUT(np.ascontiguousarray(shown[sprite.rows, sprite.columns]), covered)
        cover = cv2.subtract(sprite.cover, before)
        area = image[sprite.rows, sprite.columns]
        woven = cv2.multiply(sprite.colour, self._weave[: cover.shape[0], : cover.shape[1]], scale=1 / 128)
        colour = self._air.veiled(np.asarray(woven, np.uint8), sprite.cover, depth)
        behind = cv2.multiply(area, cv2.merge([255 - sprite.cover] * 3), scale=1 / 255)
        np.copyto(area, cv2.add(colour, behind), where=(before == 0)[..., None])
        silhouettes[sprite.rows, sprite.columns][cover >= SILHOUETTE] = actor.id
        return Painted(actor, moment, sprite)

    def _headlights(
        self, image: UInt8Array, silhouettes: npt.NDArray[np.int32], painted: list[Painted], camera: Camera
    ) -> None:
        """Let the lamps of vehicles shine that face the camera and are not hidden."""
        for entry in painted:
            if not isinstance(entry.actor.figure, Vehicle) or entry.actor.figure.parked:
                continue
            ahead, behind = entry.actor.figure.lamps(entry.moment)
            towards = np.array(camera.position) - entry.moment.origin
            front = towards[0] * np.cos(entry.moment.heading) + towards[1] * np.sin(entry.moment.heading) > 0
            px, depth = camera.project(ahead if front else behind)
            for place, size in zip(px, camera.px_per_m(depth), strict=True):
                x, y = (int(value) for value in place)
                inside = 0 <= x < image.shape[1] and 0 <= y < image.shape[0]
                if inside and silhouettes[y, x] == entry.actor.id:
                    shine(image, place, (1.1 if front else 0.5) * size, _HEADLIGHT if front else _REAR_LIGHT)


def _truth(painted: list[Painted], silhouettes: npt.NDArray[np.int32]) -> SceneTruth:
    painted = sorted(painted, key=lambda entry: entry.actor.id)
    last = painted[-1].actor.id if painted else 0
    seen = np.bincount(silhouettes.ravel(), minlength=last + 1)
    return SceneTruth(
        np.array([entry.actor.id for entry in painted], np.int64),
        np.array([entry.actor.figure.class_id for entry in painted], np.int64),
        np.array([_box(entry.sprite) for entry in painted], np.float32).reshape(-1, 4),
        np.array([seen[entry.actor.id] / entry.sprite.silhouette_px for entry in painted], np.float32),
    )


def _box(sprite: Sprite) -> tuple[int, int, int, int]:
    """Return the box around the silhouette, px of the image; the last row and column lie inside."""
    x, y, width, height = cv2.boundingRect((sprite.cover >= SILHOUETTE).astype(np.uint8))
    return sprite.left + x, sprite.top + y, sprite.left + x + width, sprite.top + y + height


def _weave(noise: Texture, image_size: tuple[int, int]) -> UInt8Array:
    """Return a texture uint8 (H, W, 3), 128 on average, that clothes and paint are multiplied with."""
    width, height = image_size
    side = len(noise.fine)
    both = 128 * (1 + 0.035 * noise.rough + 0.015 * noise.fine)
    tiled = np.tile(both, (height // side + 1, width // side + 1))[:height, :width]
    return np.repeat(tiled.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
