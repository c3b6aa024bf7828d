"""Numbers that are drawn into pictures as black and white squares, survive coding, and are read back.

Needs no more than NumPy: the environment of another project can read them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from streamdet.types import UInt8Array

SQUARE_PX = 16
_COLUMNS, _ROWS = 8, 4
_MARKED = 1 << 16  # numbers of a mark are below this: its other half is their complement
_SCALED_PX = 640  # of a picture's width, for each of which the squares of a mark are larger


def drawn(number: int, scale: int = 1) -> UInt8Array:
    """Return the picture with the `number`, which is below 2^32, as grey (64 * scale, 128 * scale)."""
    bits = np.unpackbits(np.array([number], ">u4").view(np.uint8)).reshape(_ROWS, _COLUMNS)
    side = SQUARE_PX * scale
    return np.kron(32 + 192 * bits, np.ones((side, side), np.uint8)).astype(np.uint8)


def number_in(image: UInt8Array) -> int:
    """Return the number that is drawn into `image` (H, W, 3), in the middles of its squares."""
    side = image.shape[0] // _ROWS
    bits = image[side // 2 :: side, side // 2 :: side, 0] > 128
    return int(np.packbits(bits.ravel()).view(">u4")[0])


def mark(image: UInt8Array, number: int) -> None:
    """Draw `number` modulo 2^16, and its complement, into the upper left corner of `image` (H, W, 3), W from 640 px."""
    number %= _MARKED
    square = drawn(number * _MARKED + _MARKED - 1 - number, _scale(image))
    image[: square.shape[0], : square.shape[1]] = square[:, :, None]


def mark_in(image: UInt8Array) -> int | None:
    """Return the number that `mark` has drawn into `image` (H, W, 3), None where it cannot be read."""
    side = SQUARE_PX * _scale(image)
    number, complement = divmod(number_in(image[: _ROWS * side, : _COLUMNS * side]), _MARKED)
    return number if number + complement == _MARKED - 1 else None


def _scale(image: UInt8Array) -> int:
    width: int = image.shape[1]
    return width // _SCALED_PX
