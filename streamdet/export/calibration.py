"""The images that an int8 model is fitted to."""

from __future__ import annotations

from streamdet.inference.card import ModelCard
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.options import IMAGE_SIZE_PX
from streamdet.types import UInt8Array
from streamdet.video.source import open_source

# As many as NNCF looks at by default; ranges hardly change with more.
IMAGES = 300
_LIVE_STRIDE = 10


def calibration_images(source: str, card: ModelCard) -> list[UInt8Array]:
    """Return up to 300 images uint8 (1, H, W, 3), spread over a source, fitted as the detector does; or InputError."""
    with open_source(source) as opened:
        count = opened.info.frame_count or _LIVE_STRIDE * IMAGES
    with open_source(source, stride=max(1, count // IMAGES), max_frames=IMAGES) as frames:
        return [_fitted(frame.image, card) for frame in frames]


def _fitted(image: UInt8Array, card: ModelCard) -> UInt8Array:
    letterbox = Letterbox.fit(image.shape[:2], card.input_hw or IMAGE_SIZE_PX, card.stride)
    return letterboxed(image, letterbox)[None]
