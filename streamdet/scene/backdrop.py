"""All that stands still, painted once: ground, houses, sky and furniture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.furniture import Item
from streamdet.scene.light import Light
from streamdet.scene.shadow import darken
from streamdet.scene.sprite import SILHOUETTE, rasterise
from streamdet.scene.surroundings import Surroundings
from streamdet.scene.weather import Air
from streamdet.types import UInt8Array

# Items are numbered after GROUND and BEHIND.
FIRST_ITEM = 2


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The picture uint8 (H, W, 3) of the canvas and, for each pixel, what it shows.

    `shown` uint8 (H, W) is GROUND, BEHIND (houses and sky, which hide nobody) or FIRST_ITEM + the number of an item of
    `items`.
    """

    image: UInt8Array
    shown: UInt8Array
    items: tuple[Item, ...]


def paint_backdrop(
    surroundings: Surroundings, camera: Camera, canvas_size: tuple[int, int], items: list[Item], light: Light, air: Air
) -> Backdrop:
    """Return the picture of `surroundings` with `items` in it, as the resting `camera` sees them."""
    colours, shown = surroundings.paint(camera, canvas_size)
    image = (colours.clip(0, 1) * 255).astype(np.uint8)
    camera = replace(camera, to_image=np.eye(2, 3))
    if light.shadow > 0:
        sunny = [item for item in items if surroundings.sunlit(np.array([*item.place, 0.0]))]
        darken(image, [outline for item in sunny for outline in item.shadow(light)], light.shadow, camera, shown)
    depths = [camera.project(np.array([[*item.place, 0.0]]))[1][0] for item in items]
    for number in np.argsort(depths)[::-1]:
        if depths[number] < 1.0:
            continue
        sprite = rasterise(items[number].polygons(camera, light), canvas_size)
        if sprite is None:
            continue
        area = image[sprite.rows, sprite.columns]
        colour = air.veiled(sprite.colour, sprite.cover, float(depths[number]))
        area[:] = cv2.add(colour, cv2.multiply(area, cv2.merge([255 - sprite.cover] * 3), scale=1 / 255))
        shown[sprite.rows, sprite.columns][sprite.cover >= SILHOUETTE] = FIRST_ITEM + number
    return Backdrop(image, shown, tuple(items))
