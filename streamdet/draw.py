"""Draws tracks, or detections, on an image, sized for its resolution.

These are boxes, upright or rotated, skeletons, dashed if predicted, masks, labels and fading trails, each in the colour
of its id or class, and the class of the whole image.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from streamdet.masks import HALF, Masks, Patch
from streamdet.rows import ImageClass, class_name, rotated_corners
from streamdet.trails import Trail
from streamdet.types import Detections, Float32Array, Tracks, UInt8Array

Color = tuple[int, int, int]
Point = tuple[int, int]
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = 0.618033988749895
_TRAIL_SEGMENTS = 24
_DASH_LINES = 4  # length of a dash in line widths
_MAX_DASHES = 100
_FARTHEST_PX = 30_000  # where lines begin and end, lest OpenCV's arithmetic overflow
_OPACITY = 0.5  # of masks
# What a mask adds to a pixel by its value: nothing to what hardly belongs to the object, all to what surely does.
_SOFT_EDGE = np.rint(255 * _OPACITY * np.clip((np.arange(256) - HALF) / 96 + 0.5, 0, 1)).astype(np.uint8)
LEAST_VISIBLE = 0.5  # visibility from which a key point is drawn
# The limbs between the 17 key points of COCO: the face, the body, the legs.
LIMBS = (
    *((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
    *((5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12)),
    *((11, 13), (13, 15), (12, 14), (14, 16)),
)
_COCO_POINTS = 17
_MOST_NAMED = 3  # classes of a whole image
_SKELETON_LINES = 60  # the least height of a person in widths of the lines of its skeleton


@dataclass(frozen=True, slots=True)
class Style:
    """Line width and text height in px."""

    line_px: int
    text_px: int

    @classmethod
    def for_image(cls, height_px: int, width_px: int) -> Style:
        """Return the style for an image: lines of 1/240 and text of 1/40 of its shorter side, but at least legible."""
        shorter_px = min(height_px, width_px)
        return cls(max(1, round(shorter_px / 240)), max(12, round(shorter_px / 40)))


@lru_cache(maxsize=4096)
def id_color(track_id: int) -> Color:
    """Return the RGB colour of a track; the hues of successive ids are a golden ratio apart, so that they differ."""
    red, green, blue = colorsys.hsv_to_rgb(track_id * _GOLDEN_RATIO % 1.0, 0.75, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_tracks(
    image: UInt8Array,
    tracks: Tracks,
    class_names: Sequence[str],
    trails: Mapping[int, Trail] | None = None,
    masks: Masks | None = None,
    image_class: ImageClass | None = None,
) -> UInt8Array:
    """Return a copy of `image` (uint8 (H, W, 3) RGB) with `tracks` and what belongs to them.

    `trails` are those of ids; `masks` are those of the detections that support the tracks; `image_class` is the class
    of the whole image.
    """
    canvas = image.copy()
    style = Style.for_image(*image.shape[:2])
    colors = [id_color(track_id) for track_id in tracks.ids.tolist()]
    if masks is not None:
        for index, color in zip(tracks.detection_index.tolist(), colors, strict=True):
            if index >= 0:
                _blend(canvas, masks.patch(index), color)
    for track_id, trail in (trails or {}).items():
        _draw_trail(canvas, trail, id_color(track_id), style)
    predicted = (tracks.detection_index < 0).tolist()
    anchors = _draw_boxes(canvas, tracks, colors, predicted, style)
    _draw_skeletons(canvas, tracks, colors, predicted, style)
    # Labels last, so that no box of another track crosses a text.
    rows = zip(anchors, tracks.ids.tolist(), tracks.scores.tolist(), tracks.class_ids.tolist(), colors, strict=True)
    for anchor, track_id, score, class_id, color in rows:
        _draw_label(canvas, anchor, f"{class_names[class_id]} {track_id} {score:.2f}", color, style)
    if image_class is not None:
        text = f"{image_class.class_name} {image_class.probability:.2f}"
        _draw_banner(canvas, text, id_color(image_class.class_id), style)
    return canvas


def draw_detections(image: UInt8Array, detections: Detections) -> UInt8Array:
    """Return a copy of `image` (uint8 (H, W, 3) RGB) with `detections` in the colours and names of their classes.

    Of the classes of a whole image up to three are named that are at least half as probable as the most probable one.
    """
    canvas = image.copy()
    style = Style.for_image(*image.shape[:2])
    colors, solid = [id_color(class_id) for class_id in detections.class_ids.tolist()], [False] * len(detections)
    if (masks := detections.masks) is not None:
        for index, color in enumerate(colors):
            _blend(canvas, masks.patch(index), color)
    anchors = _draw_boxes(canvas, detections, colors, solid, style)
    _draw_skeletons(canvas, detections, colors, solid, style)
    for anchor, detection, color in zip(anchors, detections, colors, strict=True):
        _draw_label(canvas, anchor, detection.class_name, color, style)
    if (probabilities := detections.probabilities) is not None:
        best = np.argsort(-probabilities, kind="stable")[:_MOST_NAMED]
        likely = best[probabilities[best] >= probabilities.max() / 2].tolist()
        names = (f"{class_name(each, detections.class_names)} {probabilities[each]:.2f}" for each in likely)
        _draw_banner(canvas, ", ".join(names), id_color(likely[0]), style)
    return canvas


def _draw_boxes(
    canvas: UInt8Array, rows: Tracks | Detections, colors: Sequence[Color], predicted: Sequence[bool], style: Style
) -> list[Point]:
    """Draw the boxes of `rows`, those that are `predicted` dashed, and return where each has its label."""
    anchors: list[Point] = []
    if rows.rotated is None:
        quadrilaterals = _upright(rows.boxes)
    else:
        quadrilaterals = [_pixels(corners) for corners in rotated_corners(rows.rotated)]
    for corners, color, dashed in zip(quadrilaterals, colors, predicted, strict=True):
        # The highest corner of a rotated box would be its left one in this frame, and its right one in the next.
        xs, ys = zip(*corners, strict=True)
        anchors.append((min(xs), min(ys)))
        if dashed:
            _draw_dashed(canvas, [*corners, corners[0]], color, style)
        elif rows.rotated is None:
            cv2.rectangle(canvas, corners[0], corners[2], color, style.line_px, cv2.LINE_AA)
        else:
            cv2.polylines(canvas, [np.array(corners)], True, color, style.line_px, cv2.LINE_AA)
    return anchors


def _upright(boxes: Float32Array) -> list[list[Point]]:
    """Return the corners of `boxes` (N, 4) in whole px, clockwise from the left of the top."""
    rows = np.rint(boxes).astype(int).tolist()
    return [[(x1, y1), (x2, y1), (x2, y2), (x1, y2)] for x1, y1, x2, y2 in rows]


def _pixels(points: Float32Array) -> list[Point]:
    """Return `points` (P, 2) in whole px."""
    return [(x, y) for x, y in np.rint(np.clip(points, -_FARTHEST_PX, _FARTHEST_PX)).astype(int).tolist()]


def _blend(canvas: UInt8Array, patch: Patch, color: Color) -> None:
    """Tint the pixels of a silhouette."""
    height, width = patch.values.shape
    if not patch.values.size:
        return
    area = canvas[patch.y : patch.y + height, patch.x : patch.x + width]
    opacity = cv2.merge([cv2.LUT(patch.values, _SOFT_EDGE)] * 3)
    # C <- (1 - a) C + a C_track
    behind = cv2.multiply(area, cv2.bitwise_not(opacity), scale=1 / 255)
    area[:] = cv2.add(behind, cv2.multiply(opacity, np.array([*color, 0.0]), scale=1 / 255))


def _draw_skeletons(
    canvas: UInt8Array, rows: Tracks | Detections, colors: Sequence[Color], predicted: Sequence[bool], style: Style
) -> None:
    """Draw the key points of `rows`, if they have any, with lines as thin as the objects are small."""
    if rows.keypoints is None:
        return
    heights = (rows.boxes[:, 3] - rows.boxes[:, 1]).tolist()
    for points, height, color, dashed in zip(rows.keypoints, heights, colors, predicted, strict=True):
        # Lines as wide as those of boxes would cover a person in the distance.
        thinner = Style(min(max(round(height / _SKELETON_LINES), 1), style.line_px), style.text_px)
        _draw_skeleton(canvas, points, color, thinner, dashed=dashed)


def _draw_skeleton(canvas: UInt8Array, points: Float32Array, color: Color, style: Style, *, dashed: bool) -> None:
    """Draw the key points (K, 3) that are visible, and the limbs between them if they are those of COCO."""
    places, light = _pixels(points[:, :2]), [(255 + value) // 2 for value in color]
    visible = (points[:, 2] >= LEAST_VISIBLE).tolist()
    for a, b in LIMBS if len(points) == _COCO_POINTS else ():
        if visible[a] and visible[b]:
            if dashed:
                _draw_dashed(canvas, [places[a], places[b]], color, style)
            else:
                cv2.line(canvas, places[a], places[b], color, style.line_px, cv2.LINE_AA)
    for place, shown in zip(places, visible, strict=True):
        if shown:
            cv2.circle(canvas, place, style.line_px, light, cv2.FILLED, cv2.LINE_AA)


def _draw_banner(canvas: UInt8Array, text: str, color: Color, style: Style) -> None:
    """Write `text` in the top left corner, half as large again as labels."""
    larger = Style(2 * style.line_px, style.text_px * 3 // 2)
    _draw_label(canvas, (larger.text_px // 2,) * 2, text, color, larger)


def _draw_dashed(canvas: UInt8Array, corners: Sequence[Point], color: Color, style: Style) -> None:
    """Draw a dashed line from each corner to the next."""
    for start, end in pairwise(np.array(corners)):
        dashes = round(np.abs(end - start).max() / (2 * _DASH_LINES * style.line_px))
        steps = np.linspace(0, 1, 2 * min(max(dashes, 1), _MAX_DASHES) + 1)
        points = np.rint(start + steps[:, None] * (end - start)).astype(int).tolist()
        for dash in zip(points[::2], points[1::2], strict=False):
            cv2.line(canvas, *dash, color, style.line_px, cv2.LINE_AA)


def _draw_trail(canvas: UInt8Array, trail: Trail, color: Color, style: Style) -> None:
    """Draw a polyline that fades into the image towards its oldest point."""
    points = np.rint(trail[:: -max(1, len(trail) // _TRAIL_SEGMENTS)][::-1]).astype(int)
    if len(points) < 2:
        return
    height, width = canvas.shape[:2]
    middles = np.clip((points[1:] + points[:-1]) // 2, 0, [width - 1, height - 1])
    opacity = np.linspace(0.15, 0.9, len(middles))[:, None]
    # C = a C_track + (1 - a) C_background
    colors = opacity * np.array(color) + (1 - opacity) * canvas[middles[:, 1], middles[:, 0]]
    for start, end, shade in zip(points[:-1].tolist(), points[1:].tolist(), colors.tolist(), strict=True):
        cv2.line(canvas, start, end, shade, style.line_px, cv2.LINE_AA)


def _draw_label(canvas: UInt8Array, anchor: Point, text: str, color: Color, style: Style) -> None:
    """Write `text` on a filled plate above `anchor`, or below if there is no room, within the image."""
    height, width = canvas.shape[:2]
    pad = style.line_px + 1
    thickness = max(1, style.text_px // 14)
    text_width, ascent, descent, scale = _measure(text, style.text_px, thickness, width - 2 * pad)
    plate_width, plate_height = text_width + 2 * pad, ascent + descent + 2 * pad
    left = min(max(anchor[0] - style.line_px // 2, 0), max(width - plate_width, 0))
    top = anchor[1] - plate_height if anchor[1] >= plate_height else anchor[1]
    top = min(max(top, 0), max(height - plate_height, 0))
    cv2.rectangle(canvas, (left, top), (left + plate_width - 1, top + plate_height - 1), color, cv2.FILLED)
    origin = (left + pad, top + pad + ascent)
    cv2.putText(canvas, text, origin, _FONT, scale, _text_color(color), thickness, cv2.LINE_AA)


def _measure(text: str, text_px: int, thickness: int, room_px: int) -> tuple[int, int, int, float]:
    """Return width, ascent, descent (px) and the font scale of `text`, which is shrunk to `room_px` if it is wider."""
    scale = cv2.getFontScaleFromHeight(_FONT, text_px, thickness)
    (width, ascent), descent = cv2.getTextSize(text, _FONT, scale, thickness)
    if width > room_px > 0:
        scale *= room_px / width
        (width, ascent), descent = cv2.getTextSize(text, _FONT, scale, thickness)
    return width, ascent, descent, scale


def _text_color(background: Color) -> Color:
    """Return black or white, whichever contrasts more with `background` (relative luminance, ITU-R BT.709)."""
    luminance = 0.2126 * background[0] + 0.7152 * background[1] + 0.0722 * background[2]
    return (0, 0, 0) if luminance > 110 else (255, 255, 255)
