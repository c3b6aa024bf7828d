"""Pictures of a video decoder, which are on the device, as RGB images."""

from __future__ import annotations

import torch
from torch import Tensor

# Shares of red and blue in luma, by matrix coefficients of ITU-T H.273, table 4. FFmpeg takes BT.601 for all others.
_LUMA_SHARES = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)


def rgb_of(luma: Tensor, chroma: Tensor, matrix: int, *, full_range: bool) -> Tensor:
    """Return the picture of `luma` uint8 (H, W) and `chroma` uint8 (H/2, W/2, 2) as uint8 (H, W, 3) RGB.

    As FFmpeg converts it for the host: each chroma sample holds for four pixels, fractions are cut off. The two differ
    by 2 of 255 at most in real clips. `matrix` is the code of H.273 for how colours became luma and chroma.
    """
    red, blue = _LUMA_SHARES.get(matrix, _BT601)
    green = 1 - red - blue
    black, luma_range, chroma_range = (0, 255, 255) if full_range else (16, 219, 224)
    y = (luma.float() - black) * (255 / luma_range)
    by_pixel = chroma.repeat_interleave(2, 0).repeat_interleave(2, 1)[: luma.shape[0], : luma.shape[1]]
    cb, cr = ((by_pixel.float() - 128) * (255 / chroma_range)).unbind(2)
    # H.273, equations 38 to 40, solved for R, G and B.
    more_red, more_blue = 2 * (1 - red) * cr, 2 * (1 - blue) * cb
    pixels = torch.stack([y + more_red, y - (red * more_red + blue * more_blue) / green, y + more_blue], 2)
    return pixels.clamp(0, 255).byte()
