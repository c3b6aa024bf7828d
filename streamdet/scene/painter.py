"""Paints one frame: the actors over the backdrop, from back to front, each hidden by what stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scene.backdrop import FIRST_ITEM, Backdrop, Surroundings
from streamdet.scene.camera import Camera
from streamdet.scene.figures import SILHOUETTE, Figure, Placement, Sprite, rasterise
from streamdet.scene.ground import Texture
from streamdet.scene.light import Air, Light, darken, shine
from streamdet.scene.paths import Actor
from streamdet.scene.pose import JOINTS
from streamdet.scene.shapes import keypoints, rotated_box
from streamdet.scene.truth import SceneTruth
from streamdet.scene.vehicles import Vehicle
from streamdet.types import Float64Array, UInt8Array

# The share of light that is missing right below an actor.
_CONTACT_SHADE = 0.5
# An actor is painted when all of it is at least this far ahead of the camera.
_LEAST_DEPTH_M = 1.5
_TALLEST_M = 4.0
_HEADLIGHT, _REAR_LIGHT = np.array([1.0, 0.97, 0.85]), np.array([0.7, 0.06, 0.04])


class Present(NamedTuple):
    """An actor that may be in the picture, its placement, and its depth in m."""

    actor: Actor
    placement: Placement
    depth: float


@dataclass(frozen=True, slots=True)
class Painted:
    """An actor that is in the picture, hidden or not."""

    actor: Actor
    placement: Placement
    sprite: Sprite


class Painter:
    """Paints actors over the backdrop of one scene, and measures which part of each is visible."""

    def __init__(
        self,
        surroundings: Surroundings,
        backdrop: Backdrop,
        light: Light,
        air: Air,
        image_size: tuple[int, int],
        texture: Texture,
    ) -> None:
        self.light = light
        self._surroundings, self._backdrop, self._air = surroundings, backdrop, air
        self._shaded_light = replace(light, sun=np.zeros(3))
        self._image_size = image_size
        self._weave = _weave(texture, image_size)
        places = [
            (x - w, y - d, x + w, y + d) for x, y, w, d in ((*item.place, *item.half_size) for item in backdrop.items)
        ]
        self._item_rectangles = np.array(places).reshape(-1, 4)

    def paint(
        self, actors: Sequence[Actor], camera: Camera, time_s: float, *, shapes: bool = False
    ) -> tuple[UInt8Array, SceneTruth]:
        """Return the picture uint8 (H, W, 3) before weather and sensor, and the truth, at `time_s`.

        The truth has masks, key points and rotated boxes only with `shapes`.
        """
        image, shown = self._behind(camera)
        present = self._present(actors, camera, time_s)
        self._shadows(image, shown, present, camera)
        silhouettes = np.zeros(shown.shape, np.int32)
        painted = [self._put(image, silhouettes, shown, *one, camera) for one in self._in_order(present, camera)]
        in_picture = [entry for entry in painted if entry is not None]
        if self.light.dark:
            self._headlights(image, silhouettes, in_picture, camera)
        in_picture.sort(key=lambda entry: entry.actor.id)
        truth = _truth(in_picture, silhouettes)
        return image, _with_shapes(truth, in_picture, silhouettes, camera) if shapes else truth

    def _behind(self, camera: Camera) -> tuple[UInt8Array, UInt8Array]:
        """Return the picture and the `shown` of the backdrop as `camera` sees them."""
        image, shown = self._backdrop.image, self._backdrop.shown
        if np.array_equal(camera.to_image, np.eye(2, 3)):
            return image.copy(), shown
        # OpenCV counts from the centre of the first pixel: shift by half a pixel there and back.
        affine = camera.to_image.copy()
        affine[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5
        moved = cv2.warpAffine(image, affine, self._image_size, flags=cv2.INTER_LINEAR)
        shown_moved = cv2.warpAffine(shown, affine, self._image_size, flags=cv2.INTER_NEAREST)
        return np.asarray(moved, np.uint8), np.asarray(shown_moved, np.uint8)

    def _present(self, actors: Sequence[Actor], camera: Camera, time_s: float) -> list[Present]:
        """Return the actors that may be in the picture at `time_s`."""
        placements = [actor.path.at(time_s) for actor in actors]
        px, depth = camera.project(np.array([placement.origin for placement in placements]).reshape(-1, 3))
        lengths = np.array([actor.figure.half_size[0] for actor in actors])
        reach = (camera.px_per_m(depth) * (lengths + _TALLEST_M))[:, None]
        near = ((px > -reach) & (px < np.array(self._image_size) + reach)).all(axis=1)
        rows = np.flatnonzero(near & (depth > _LEAST_DEPTH_M + lengths)).tolist()
        return [Present(actors[row], placements[row], float(depth[row])) for row in rows]

    def _in_order(self, present: list[Present], camera: Camera) -> list[tuple[Present, npt.NDArray[np.bool_]]]:
        """Return those `present` from back to front, each with a mask of the items that may hide it."""
        if not present:
            return []
        rectangles = np.array([_footprint(actor.figure, placement) for actor, placement, _ in present])
        eye = np.array(camera.position[:2])
        hidden_by = may_hide(eye, self._item_rectangles, rectangles).T
        # A rider is painted after the cycle, whose identity is one less.
        distances = np.array([depth - 1e-6 * actor.id for actor, _, depth in present])
        return [(present[i], hidden_by[i]) for i in paint_order(eye, rectangles, distances)]

    def _shadows(self, image: UInt8Array, shown: UInt8Array, present: list[Present], camera: Camera) -> None:
        """Darken the ground below actors, and their shadows where the sun shines on them."""
        contacts = [outline for actor, placement, _ in present for outline in actor.figure.contact(placement)]
        if self.light.shadow > 0.1:
            sunny = [one for one in present if self._surroundings.sunlit(one.placement.origin)]
            cast = [outline for actor, placement, _ in sunny for outline in actor.figure.shadow(self.light, placement)]
            darken(image, cast, self.light.shadow, camera, shown)
        darken(image, contacts, _CONTACT_SHADE, camera, shown, blur_px=5)

    def _put(
        self,
        image: UInt8Array,
        silhouettes: npt.NDArray[np.int32],
        shown: UInt8Array,
        present: Present,
        hidden_by: npt.NDArray[np.bool_],
        camera: Camera,
    ) -> Painted | None:
        """Paint one actor on `image` and its identity on `silhouettes`; return None when it is not in the picture."""
        actor, placement, depth = present
        light = self.light if self._surroundings.sunlit(placement.origin) else self._shaded_light
        sprite = rasterise(actor.figure.polygons(camera, light, placement), self._image_size)
        if sprite is None or not (sprite.cover >= SILHOUETTE).any():
            return None
        # 255 where one of the items that may hide the actor is seen.
        covered = np.zeros(256, np.uint8)
        covered[FIRST_ITEM : FIRST_ITEM + len(hidden_by)][hidden_by] = 255
        before = cv2.LUT(np.ascontiguousarray(shown[sprite.rows, sprite.columns]), covered)
        cover = cv2.subtract(sprite.cover, before)
        area = image[sprite.rows, sprite.columns]
        woven = cv2.multiply(sprite.colour, self._weave[: cover.shape[0], : cover.shape[1]], scale=1 / 128)
        colour = self._air.veil_sprite(np.asarray(woven, np.uint8), sprite.cover, depth)
        behind = cv2.multiply(area, cv2.merge([255 - sprite.cover] * 3), scale=1 / 255)
        np.copyto(area, cv2.add(colour, behind), where=(before == 0)[..., None])
        silhouettes[sprite.rows, sprite.columns][cover >= SILHOUETTE] = actor.id
        return Painted(actor, placement, sprite)

    def _headlights(
        self, image: UInt8Array, silhouettes: npt.NDArray[np.int32], painted: list[Painted], camera: Camera
    ) -> None:
        """Add the shine of those lamps of vehicles that face the camera and are not hidden."""
        for entry in painted:
            if not isinstance(entry.actor.figure, Vehicle) or entry.actor.figure.parked:
                continue
            ahead, behind = entry.actor.figure.lamps(entry.placement)
            towards, heading = np.array(camera.position) - entry.placement.origin, entry.placement.heading
            front = towards[0] * np.cos(heading) + towards[1] * np.sin(heading) > 0
            px, depth = camera.project(ahead if front else behind)
            for place, size in zip(px, camera.px_per_m(depth), strict=True):
                x, y = (int(value) for value in place)
                inside = 0 <= x < image.shape[1] and 0 <= y < image.shape[0]
                if inside and silhouettes[y, x] == entry.actor.id:
                    shine(image, place, (1.1 if front else 0.5) * size, _HEADLIGHT if front else _REAR_LIGHT)


def _truth(painted: list[Painted], silhouettes: npt.NDArray[np.int32]) -> SceneTruth:
    """Return the truth about `painted`; `silhouettes` (H, W) holds the identity seen in each pixel, 0 for none."""
    last = painted[-1].actor.id if painted else 0
    seen = np.bincount(silhouettes.ravel(), minlength=last + 1)
    return SceneTruth(
        np.array([entry.actor.id for entry in painted], np.int64),
        np.array([entry.actor.figure.class_id for entry in painted], np.int64),
        np.array([_box(entry.sprite) for entry in painted], np.float32).reshape(-1, 4),
        np.array([seen[entry.actor.id] / entry.sprite.silhouette_px for entry in painted], np.float32),
    )


def _with_shapes(
    truth: SceneTruth, painted: list[Painted], silhouettes: npt.NDArray[np.int32], camera: Camera
) -> SceneTruth:
    """Return `truth`, that of `painted` in the same order, with what is asked for as shapes."""
    masks = silhouettes == truth.ids[:, None, None]
    seen = [(entry.actor.figure, entry.placement, camera) for entry in painted]
    points = [keypoints(*each, mask) for each, mask in zip(seen, masks, strict=True)]
    boxes = [rotated_box(*each, entry.sprite) for each, entry in zip(seen, painted, strict=True)]
    return replace(
        truth,
        masks=masks,
        keypoints=np.array(points, np.float32).reshape(-1, JOINTS, 3),
        rotated=np.array(boxes, np.float32).reshape(-1, 5),
    )


def _box(sprite: Sprite) -> tuple[int, int, int, int]:
    """Return the box around the silhouette, px of the image; the last row and column lie inside."""
    x, y, width, height = cv2.boundingRect((sprite.cover >= SILHOUETTE).astype(np.uint8))
    return sprite.left + x, sprite.top + y, sprite.left + x + width, sprite.top + y + height


def _weave(texture: Texture, image_size: tuple[int, int]) -> UInt8Array:
    """Return a pattern uint8 (H, W, 3), 128 on average, by which the colours of actors are multiplied."""
    width, height = image_size
    side = len(texture.fine)
    weave = 128 * (1 + 0.035 * texture.rough + 0.015 * texture.fine)
    tiled = np.tile(weave, (height // side + 1, width // side + 1))[:height, :width]
    return np.repeat(tiled.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)


def _footprint(figure: Figure, placement: Placement) -> tuple[float, float, float, float]:
    """Return the rectangle (x1, y1, x2, y2) in m along the axes that holds `figure` at `placement`."""
    length, width = figure.half_size
    cos, sin = abs(np.cos(placement.heading)), abs(np.sin(placement.heading))
    reach_x, reach_y = length * cos + width * sin, length * sin + width * cos
    x, y = placement.origin[:2]
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y


def may_hide(eye: Float64Array, front: Float64Array, behind: Float64Array) -> npt.NDArray[np.bool_]:
    """Return (N, M) whether each of the rectangles `front` (N, 4) may hide each of `behind` (M, 4) from `eye` (x, y).

    A rectangle hides no other one that a plane x = c or y = c separates from it together with the eye.
    """
    front, behind = front[:, None], behind[None]
    beyond = np.zeros(np.broadcast_shapes(front.shape, behind.shape)[:2], bool)
    for axis in (0, 1):
        beyond |= (front[..., axis] >= behind[..., axis + 2]) & (eye[axis] <= front[..., axis])
        beyond |= (front[..., axis + 2] <= behind[..., axis]) & (eye[axis] >= front[..., axis + 2])
    return ~beyond


def paint_order(eye: Float64Array, rectangles: Float64Array, distances: Float64Array) -> Sequence[int]:
    """Return the order from back to front of `rectangles` (N, 4) m seen from `eye`; `distances` (N,) m decide ties."""
    hides = may_hide(eye, rectangles, rectangles)
    # Two that may hide each other overlap; neither has to wait for the other.
    waits = hides & ~hides.T
    waiting = waits.sum(axis=1)
    remaining = np.ones(len(rectangles), bool)
    order = []
    for _ in range(len(rectangles)):
        free = remaining & (waiting == 0)
        among = np.flatnonzero(free if free.any() else remaining)
        chosen = int(among[np.argmax(distances[among])])
        order.append(chosen)
        remaining[chosen] = False
        waiting -= waits[:, chosen]
    return order
