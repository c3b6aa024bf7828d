"""Draws tracks on an image: boxes (dashed if predicted), labels and fading trails, sized for its resolution."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from streamdet.trails import Trail
from streamdet.types import Float32Array, Int64Array, Tracks, UInt8Array

Color = tuple[int, int, int]
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = 0.618033988749895
_TRAIL_SEGMENTS = 24
_DASH_LINES = 4  # length of a dash in line widths
_MAX_DASHES = 100


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
    image: UInt8Array, tracks: Tracks, class_names: Sequence[str], trails: Mapping[int, Trail] | None = None
) -> UInt8Array:
    """Return a copy of `image` (uint8 (H, W, 3) RGB) with the boxes, labels and trails of `tracks`."""
    canvas = image.copy()
    style = Style.for_image(*image.shape[:2])
    for track_id, trail in (trails or {}).items():
        _draw_trail(canvas, trail, id_color(track_id), style)
    rows = list(
        zip(
            tracks.ids.tolist(),
            np.rint(tracks.boxes).astype(int).tolist(),
            tracks.scores.tolist(),
            tracks.class_ids.tolist(),
            (tracks.detection_index < 0).tolist(),
            strict=True,
        )
    )
    for track_id, (x1, y1, x2, y2), _, _, predicted in rows:
        if predicted:
            _draw_dashed(canvas, [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)], id_color(track_id), style)
        else:
            cv2.rectangle(canvas, (x1, y1), (x2, y2), id_color(track_id), style.line_px, cv2.LINE_AA)
    # Labels last, so that no box of another track crosses a text.
    for track_id, box, score, class_id, _ in rows:
        _draw_label(canvas, box, f"{class_names[class_id]} {track_id} {score:.2f}", id_color(track_id), style)
    return canvas


def draw_objects(
    image: UInt8Array, boxes: Float32Array, class_ids: Int64Array, class_names: Sequence[str]
) -> UInt8Array:
    """Return a copy of `image` (uint8 (H, W, 3) RGB) with `boxes` (N, 4) in the colours and names of their classes."""
    canvas = image.copy()
    style = Style.for_image(*image.shape[:2])
    rows = list(zip(np.rint(boxes).astype(int).tolist(), class_ids.tolist(), strict=True))
    for (x1, y1, x2, y2), class_id in rows:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), id_color(class_id), style.line_px, cv2.LINE_AA)
    for box, class_id in rows:
        _draw_label(canvas, box, class_names[class_id], id_color(class_id), style)
    return canvas


def _draw_dashed(canvas: UInt8Array, corners: Sequence[tuple[int, int]], color: Color, style: Style) -> None:
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


def _draw_label(canvas: UInt8Array, box: Sequence[int], text: str, color: Color, style: Style) -> None:
    """Write `text` on a filled plate above the box, or below its top edge if there is no room, within the image."""
    height, width = canvas.shape[:2]
    pad = style.line_px + 1
    thickness = max(1, style.text_px // 14)
    text_width, ascent, descent, scale = _measure(text, style.text_px, thickness, width - 2 * pad)
    plate_width, plate_height = text_width + 2 * pad, ascent + descent + 2 * pad
    left = min(max(box[0] - style.line_px // 2, 0), max(width - plate_width, 0))
    top = box[1] - plate_height if box[1] >= plate_height else box[1]
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
