"""The heads of YOLOv8 for silhouettes, key points, rotated boxes and whole images."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from streamdet.models.blocks import Conv
from streamdet.models.heads import DetectHead, HeadOutput, RawMaps, anchor_points, branch, cells

CLASSIFIER_WIDTH = 1280  # channels that a classifier averages over the image, whatever its scale


class ExtendedHead(DetectHead):
    """A `DetectHead` with a third branch, `extra_count` numbers for each cell, behind boxes and scores."""

    def __init__(self, class_count: int, extra_count: int, channels: Sequence[int], strides_px: Sequence[int]) -> None:
        super().__init__(class_count, channels, strides_px)
        self.extra_count = extra_count
        width = max(channels[0] // 4, extra_count)
        self.cv4 = nn.ModuleList(branch(c, width, extra_count) for c in channels)

    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Return `RawMaps` in training mode, else boxes, scores and the extra numbers (B, 4 + class_count + E, A)."""
        extras = self._extras(features)
        boxes, scores = self._branches(features)
        if self.training:
            return RawMaps(self._raw(boxes, scores), extras)
        points, strides_px = anchor_points([m.shape[-2:] for m in boxes], self.strides_px, extras.device)
        return self._joined(self._decode(boxes, scores), extras, points.T, strides_px.T)

    def _extras(self, features: Sequence[Tensor]) -> Tensor:
        """Return the third branch f32 (B, E, A), A cells of all levels."""
        return cells([layers(x) for layers, x in zip(self.cv4, features, strict=True)]).transpose(1, 2).float()

    def _joined(self, found: Tensor, extras: Tensor, points: Tensor, strides_px: Tensor) -> Tensor:
        """Return the decoded `found` (B, 4 + class_count, A) with the meaning of `extras` (B, E, A) behind it.

        `points` (2, A), in cells, and `strides_px` (1, A) are the centres of the cells and their sizes.
        """
        return torch.cat((found, extras), dim=1)


class Prototypes(nn.Module):
    """Maps (B, c_in, H, W) to the prototypes of masks (B, count, 2 H, 2 W), of which each mask is a sum (YOLACT).

    See arXiv 1904.02689, section 3.1.
    """

    def __init__(self, c_in: int, width: int, count: int) -> None:
        super().__init__()
        self.cv1 = Conv(c_in, width, 3)
        self.upsample: nn.Module = nn.ConvTranspose2d(width, width, 2, 2)
        self.cv2: nn.Module = Conv(width, width, 3)
        self.cv3 = Conv(width, count)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, count, 2 H, 2 W)."""
        out: Tensor = self.cv3(self.cv2(self.upsample(self.cv1(x))))
        return out

    def unite(self) -> None:
        """Make one operation of `upsample` and the convolution of `cv2`, in place; a second call has no effect.

        For inference only, and apart from `fuse`, since the published counts of fused networks are without it.
        """
        if isinstance(self.cv2, Conv) and isinstance(self.upsample, nn.ConvTranspose2d):
            self.cv2.fuse()
            self.upsample, self.cv2 = SmoothUpsampling(self.upsample, self.cv2.conv), self.cv2.act


class SmoothUpsampling(nn.Module):
    """The transposed convolution `upsample` (kernel 2, stride 2), and `smooth` (kernel 3, padding 1) behind it, as one.

    Nothing lies between the two, so that they are one transposed convolution (kernel 4, stride 2, padding 1), with 40 %
    of the work: (B, C, H, W) -> (B, C, 2 H, 2 W).
    """

    @torch.no_grad()
    def __init__(self, upsample: nn.ConvTranspose2d, smooth: nn.Conv2d) -> None:
        super().__init__()
        c_in, c_out, dtype = upsample.in_channels, smooth.out_channels, smooth.weight.dtype
        self.features = nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, dtype=dtype)
        self.offset = nn.ConvTranspose2d(1, c_out, 4, 2, 1, bias=False, dtype=dtype)
        assert upsample.bias is not None and smooth.bias is not None and self.features.bias is not None
        # S (U x + b) + c = (S U) x + S b + c,  where S b is less at the border, beyond which `smooth` sees zeros.
        self.features.weight.copy_(nn.functional.conv2d(upsample.weight, smooth.weight, padding=2))
        cell = upsample.bias[None, :, None, None].expand(-1, -1, *upsample.kernel_size)
        self.offset.weight.copy_(nn.functional.conv2d(cell, smooth.weight, padding=2))
        self.features.bias.copy_(smooth.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, 2 H, 2 W)."""
        out: Tensor = self.features(x) + self.offset(x.new_ones(1, 1, *x.shape[2:]))
        return out


class SegmentHead(ExtendedHead):
    """Silhouettes: prototypes of the image from the finest level, and for each cell how much of each is in its mask.

    A mask is the sigmoid of the sum of `mask_count` prototypes, weighted by the coefficients of its cell (YOLACT, arXiv
    1904.02689, eq. 1). `width` are the channels of the layers that make the prototypes.
    """

    def __init__(
        self, class_count: int, mask_count: int, width: int, channels: Sequence[int], strides_px: Sequence[int]
    ) -> None:
        super().__init__(class_count, mask_count, channels, strides_px)
        self.proto = Prototypes(channels[0], width, mask_count)

    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Return predictions and prototypes from features [(B, c_i, H_i, W_i), ...].

        In training mode: `RawMaps`, whose `extras` (B, mask_count, A) are the coefficients. In eval mode: the tensor of
        `DetectHead` with the coefficients behind it, f32 (B, 4 + class_count + mask_count, A), and the prototypes
        (B, mask_count, h, w), twice as large as the finest level.
        """
        prototypes = self.proto(features[0])
        found = super().forward(features)
        if isinstance(found, RawMaps):
            return found._replace(prototypes=prototypes)
        assert isinstance(found, Tensor)
        return found, prototypes


class PoseHead(ExtendedHead):
    """Key points: for each cell, `kpt_shape` (points, 2 or 3) numbers: x, y, and whether the point is visible.

    In training mode it returns `RawMaps`, whose `extras` (B, points * dims, A) are logits, `dims` by `dims` for each
    point; see `decode_points`. In eval mode they stand behind the tensor of `DetectHead`: x and y in model px, and the
    probability that the point is visible.
    """

    def __init__(
        self, class_count: int, kpt_shape: tuple[int, int], channels: Sequence[int], strides_px: Sequence[int]
    ) -> None:
        super().__init__(class_count, math.prod(kpt_shape), channels, strides_px)
        self.kpt_shape = kpt_shape

    def _joined(self, found: Tensor, extras: Tensor, points: Tensor, strides_px: Tensor) -> Tensor:
        logits = extras.view(len(extras), *self.kpt_shape, -1)
        places = decode_points(logits[:, :, :2], points) * strides_px
        return torch.cat((found, torch.cat((places, logits[:, :, 2:].sigmoid()), dim=2).flatten(1, 2)), dim=1)


def decode_points(logits: Tensor, points: Tensor) -> Tensor:
    """Return places (..., 2, A) from `logits` (..., 2, A) of key points and centres `points` (2, A), all in cells."""
    # xy = p - 0.5 + 2 t
    return 2 * logits + (points - 0.5)


class RotatedHead(ExtendedHead):
    """Rotated boxes: for each cell an angle in rad, from the x axis towards y, of the side that the width measures.

    In training mode it returns `RawMaps`, whose `extras` (B, 1, A) are the angles, in [-pi/4, 3 pi/4]. In eval mode
    they stand behind the tensor of `DetectHead`, whose boxes are to be turned by them around their centres.
    """

    def __init__(self, class_count: int, angle_count: int, channels: Sequence[int], strides_px: Sequence[int]) -> None:
        super().__init__(class_count, angle_count, channels, strides_px)

    def _extras(self, features: Sequence[Tensor]) -> Tensor:
        # angle = pi (sigma(t) - 1/4)
        return (super()._extras(features).sigmoid() - 0.25) * math.pi

    def _joined(self, found: Tensor, extras: Tensor, points: Tensor, strides_px: Tensor) -> Tensor:
        # The sides are counted along the turned axes, so that the centre turns around the cell: c = p + R(angle) o
        cell = points * strides_px
        (x, y), cos, sin = (found[:, :2] - cell).chunk(2, 1), extras.cos(), extras.sin()
        center = cell + torch.cat((x * cos - y * sin, x * sin + y * cos), dim=1)
        return torch.cat((center, found[:, 2:], extras), dim=1)


class ClassifyHead(nn.Module):
    """The probabilities of the classes of a whole image, from features with `channels` and a cell every `stride_px`."""

    def __init__(self, class_count: int, channels: int, stride_px: int) -> None:
        super().__init__()
        self.class_count, self.strides_px = class_count, (stride_px,)
        self.conv = Conv(channels, CLASSIFIER_WIDTH)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.0)  # a training may set its `p`
        self.linear = nn.Linear(CLASSIFIER_WIDTH, class_count)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, H, W) to logits (B, class_count) in training mode, else to probabilities, float32."""
        logits: Tensor = self.linear(self.drop(self.pool(self.conv(features)).flatten(1)))
        return logits if self.training else logits.float().softmax(dim=1)
