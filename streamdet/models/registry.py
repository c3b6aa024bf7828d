"""The modules that a model table may name, and how the numbers of a row become constructor arguments of each.

To teach streamdet a new layer, write its class and add one line to `BLOCKS`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from streamdet.errors import shown
from streamdet.models.blocks import C2, C3, SPPF, C2f, Concat, Conv
from streamdet.models.heads import AnchorHead, DetectHead
from streamdet.models.task_heads import ClassifyHead, PoseHead, RotatedHead, SegmentHead

MAX_ARGUMENT = 1_000_000  # channels, kernel, stride: far above any network
MAX_STRIDE_PX = 1024
MAX_KEYPOINTS = 1000
_INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic")

Argument = bool | int | float | str | None | tuple[int, ...] | tuple[tuple[float, ...], ...]
Arguments = tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Compound scaling of one table to several sizes: `depth` scales repeats, `width` scales channels up to a limit."""

    depth: float = 1.0
    width: float = 1.0
    max_channels: float = math.inf

    def repeats(self, stated: int) -> int:
        """Return the scaled repeats of a row with `stated` repeats; a single row stays single."""
        return max(round(stated * self.depth), 1) if stated > 1 else stated

    def channels(self, stated: int) -> int:
        """Return the scaled channels of a row with `stated` channels, a multiple of 8."""
        return math.ceil(min(stated, self.max_channels) * self.width / 8) * 8


class Features(NamedTuple):
    """The output of a layer: feature maps with `channels` and a cell every `stride_px` model pixels."""

    channels: int
    stride_px: int


# A rule maps (args of the row, features of its sources, scale) to (constructor arguments, features out). It raises
# ValueError, with what it expected and found, for arguments that the layer cannot have.
Rule = Callable[[Arguments, Sequence[Features], Scale], tuple[Arguments, Features]]


@dataclass(frozen=True, slots=True)
class Block:
    """One entry of the registry.

    - `factory`: makes the module from constructor arguments.
    - `rule`: makes the constructor arguments from the row.
    - `joins`: whether the module takes the list of all its sources, instead of exactly one tensor.
    - `stacks`: whether it takes the repeats of the row as its third argument, instead of being chained that often.
    - `task`: the task of a head, None for other modules.
    - `added`: how many constructor arguments the rule adds in front of those of the row, and how many behind them.
    """

    factory: Callable[..., nn.Module]
    rule: Rule
    joins: bool = False
    stacks: bool = False
    task: str | None = None
    added: tuple[int, int] = (1, 0)

    def stated(self, args: Arguments) -> Arguments:
        """Return those of the constructor arguments `args` that the row states."""
        front, behind = self.added
        return args[front : len(args) - behind]

    def build(self, repeats: int, args: Arguments) -> nn.Module:
        """Return the module for a resolved row."""
        if self.stacks:
            return self.factory(*args[:2], repeats, *args[2:])
        if repeats == 1:
            return self.factory(*args)
        return nn.Sequential(*(self.factory(*args) for _ in range(repeats)))


def _whole(args: Arguments, position: int, what: str) -> int:
    """Return the argument at `position`, which must be a whole number from 1."""
    value = args[position] if position < len(args) else None
    if type(value) is not int or not 1 <= value <= MAX_ARGUMENT:
        raise ValueError(f"expected a whole number from 1 to {MAX_ARGUMENT} as {what}, found {shown(value)}")
    return value


def same_size(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: channels out, then the arguments of the block after its channels in and out."""
    c_in, stride_px = sources[0]
    c_out = scale.channels(_whole(args, 0, "channels"))
    return (c_in, c_out, *args[1:]), Features(c_out, stride_px)


def convolution(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: channels out, kernel, stride, padding."""
    resolved, (c_out, stride_px) = same_size(args, sources, scale)
    kernel, stride = _whole((*args, 1)[:2], 1, "kernel"), _whole((*args, 1, 1)[:3], 2, "stride")
    padding = kernel // 2 if len(args) < 4 or args[3] is None else args[3]
    # floor((H + 2 padding - kernel) / stride) + 1 = H / stride  for every H that stride divides
    if type(padding) is not int or not kernel - stride <= 2 * padding < kernel:
        raise ValueError(
            f"expected a padding with which kernel {kernel} makes maps of 1/{stride}, found {shown(padding)}"
        )
    if stride_px * stride > MAX_STRIDE_PX:
        raise ValueError(f"expected a cell at least every {MAX_STRIDE_PX} px, found one every {stride_px * stride} px")
    return resolved, Features(c_out, stride_px * stride)


def _pyramid_pooling(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: channels out, kernel."""
    kernel = _whole((*args, 5)[:2], 1, "kernel")
    if kernel % 2 == 0:
        raise ValueError(f"expected an odd kernel, which keeps the size of the maps, found {kernel}")
    return same_size(args, sources, scale)


def _upsample(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: None, factor, interpolation."""
    channels, stride_px = sources[0]
    factor = _whole(args, 1, "factor")
    if stride_px % factor:
        raise ValueError(f"expected a factor that divides the stride of {stride_px} px, found {factor}")
    if len(args) > 2 and args[2] not in _INTERPOLATIONS:
        raise ValueError(f"expected one of {', '.join(_INTERPOLATIONS)} as interpolation, found {shown(args[2])}")
    return args, Features(channels, stride_px // factor)


def _concat(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: 1, the axis of the channels."""
    strides_px = sorted({source.stride_px for source in sources})
    if len(strides_px) > 1:
        raise ValueError(f"expected maps of one size, found strides of {' and '.join(map(str, strides_px))} px")
    channels = sum(source.channels for source in sources)
    if channels > MAX_ARGUMENT:
        raise ValueError(f"expected at most {MAX_ARGUMENT} channels, found {channels}")
    return args, Features(channels, strides_px[0])


def _detect(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: number of classes."""
    channels, strides_px = zip(*sources, strict=True)
    return (*args, channels, strides_px), Features(_whole(args, 0, "number of classes"), strides_px[0])


def _anchor_detect(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: number of classes, anchors."""
    resolved, features = _detect(args, sources, scale)
    anchors = args[1] if len(args) > 1 else None
    if not isinstance(anchors, tuple) or len(anchors) != len(sources):
        raise ValueError(f"expected anchors for {len(sources)} levels, found {shown(anchors)}")
    return resolved, features


def _segment(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: number of classes, number of prototypes of masks, channels of the layers that make them."""
    width = scale.channels(_whole(args, 2, "channels of the prototypes"))
    return _detect((args[0], _whole(args, 1, "number of prototypes"), width, *args[3:]), sources, scale)


def _pose(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: number of classes, kpt_shape."""
    match args[1:]:
        case [(int(count), 2 | 3)] if 1 <= count <= MAX_KEYPOINTS:
            return _detect(args, sources, scale)
    found = shown(args[1]) if len(args) > 1 else "nothing"
    raise ValueError(f"expected kpt_shape as [number of key points, 2 or 3], found {found}")


def _rotated(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: number of classes, 1, the number of angles."""
    if _whole((*args, 1)[:2], 1, "number of angles") != 1:
        raise ValueError(f"expected 1 angle for a box, found {shown(args[1])}")
    return _detect((args[0], 1, *args[2:]), sources, scale)


def _classify(args: Arguments, sources: Sequence[Features], scale: Scale) -> tuple[Arguments, Features]:
    """Row args: number of classes."""
    return (*args, *sources[0]), Features(_whole(args, 0, "number of classes"), sources[0].stride_px)


BLOCKS: dict[str, Block] = {
    "Conv": Block(Conv, convolution),
    "C2f": Block(C2f, same_size, stacks=True),
    "C2": Block(C2, same_size, stacks=True),
    "C3": Block(C3, same_size, stacks=True),
    "SPPF": Block(SPPF, _pyramid_pooling),
    "Concat": Block(Concat, _concat, joins=True, added=(0, 0)),
    "nn.Upsample": Block(nn.Upsample, _upsample, added=(0, 0)),
    "Detect": Block(DetectHead, _detect, joins=True, task="detect", added=(0, 2)),
    "AnchorDetect": Block(AnchorHead, _anchor_detect, joins=True, task="detect", added=(0, 2)),
    "Segment": Block(SegmentHead, _segment, joins=True, task="segment", added=(0, 2)),
    "Pose": Block(PoseHead, _pose, joins=True, task="pose", added=(0, 2)),
    "OBB": Block(RotatedHead, _rotated, joins=True, task="obb", added=(0, 2)),
    "Classify": Block(ClassifyHead, _classify, task="classify", added=(0, 2)),
}
