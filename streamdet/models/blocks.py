"""The layers of backbones and necks. Tensors are (batch, channels, height, width).

Attribute names are those of the published YOLOv5 and YOLOv8 checkpoints (``cv1``, ``m``, ``conv``, ``bn``), so that
their weights load.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

# The published weights were trained with these two constants; PyTorch's own are 1e-5 and 0.1.
BATCH_NORM_EPS, BATCH_NORM_MOMENTUM = 1e-3, 0.03


@runtime_checkable
class Fusible(Protocol):
    """A module that can be made faster for inference only."""

    def fuse(self) -> None:
        """Fold constant operations into the weights, in place; a second call has no effect."""


class Conv(nn.Module):
    """Convolution without bias, batch norm, activation: (B, c_in, H, W) -> (B, c_out, H / stride, W / stride).

    `padding` defaults to half the kernel, which is right for odd kernels. A network replaces the activation, `act`, by
    that of its spec.
    """

    # One instance for all: it holds no state.
    activation: ClassVar[nn.Module] = nn.SiLU(inplace=True)

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, padding: int | None = None) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False)
        self.bn: nn.BatchNorm2d | None = nn.BatchNorm2d(c_out, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)
        self.act = self.activation

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated features; after `fuse` there is no batch norm to apply."""
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        out: Tensor = self.act(x)
        return out

    @torch.no_grad()
    def fuse(self) -> None:
        """Fold the batch norm into the convolution, which gains a bias; for inference only."""
        if self.bn is None:
            return
        bn, weight = self.bn, self.conv.weight
        mean, variance = bn.running_mean, bn.running_var
        assert mean is not None and variance is not None
        # y = gamma (W x - mean) / sqrt(variance + eps) + beta  =  (s W) x + (beta - s mean),  s = gamma / sqrt(...)
        scale = bn.weight / torch.sqrt(variance + bn.eps)
        self.conv.weight = nn.Parameter(weight * scale[:, None, None, None], requires_grad=False)
        self.conv.bias = nn.Parameter(bn.bias - scale * mean, requires_grad=False)
        self.bn = None


class Bottleneck(nn.Module):
    """Two convolutions, the second 3x3, with a residual if `shortcut` and the widths allow it (arXiv 1512.03385)."""

    def __init__(self, c_in: int, c_out: int, shortcut: bool = True, first_kernel: int = 3) -> None:
        super().__init__()
        self.cv1 = Conv(c_in, c_out, first_kernel)
        self.cv2 = Conv(c_out, c_out, 3)
        self.add = shortcut and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, c_out, H, W)."""
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.add else y


class C2f(nn.Module):
    """Cross-stage partial block: half of the channels pass a chain of bottlenecks, whose outputs are all concatenated.

    The split follows CSPNet (arXiv 1911.11929); the concatenation of all outputs is YOLOv8's.
    """

    def __init__(self, c_in: int, c_out: int, repeats: int = 1, shortcut: bool = False) -> None:
        super().__init__()
        hidden = c_out // 2
        self.cv1 = Conv(c_in, 2 * hidden)
        self.cv2 = Conv((2 + repeats) * hidden, c_out)
        self.m = nn.ModuleList(Bottleneck(hidden, hidden, shortcut) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, c_out, H, W)."""
        steps = list(self.cv1(x).chunk(2, dim=1))
        for bottleneck in self.m:
            steps.append(bottleneck(steps[-1]))
        out: Tensor = self.cv2(torch.cat(steps, dim=1))
        return out


class C2(nn.Module):
    """Cross-stage partial block of two 1x1 convolutions: half of the channels pass a chain of bottlenecks.

    See CSPNet (arXiv 1911.11929), figure 2b; the halves are split behind a single convolution.
    """

    def __init__(self, c_in: int, c_out: int, repeats: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        hidden = c_out // 2
        self.cv1 = Conv(c_in, 2 * hidden)
        self.cv2 = Conv(2 * hidden, c_out)
        self.m = nn.Sequential(*(Bottleneck(hidden, hidden, shortcut) for _ in range(repeats)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, c_out, H, W)."""
        passed, kept = self.cv1(x).chunk(2, dim=1)
        out: Tensor = self.cv2(torch.cat((self.m(passed), kept), dim=1))
        return out


class C3(nn.Module):
    """Cross-stage partial block of three 1x1 convolutions: one half passes a chain of bottlenecks, the other does not.

    See CSPNet (arXiv 1911.11929), figure 2b. This is the variant of YOLOv5 since 4.0.
    """

    def __init__(self, c_in: int, c_out: int, repeats: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        hidden = c_out // 2
        self.cv1 = Conv(c_in, hidden)
        self.cv2 = Conv(c_in, hidden)
        self.cv3 = Conv(2 * hidden, c_out)
        self.m = nn.Sequential(*(Bottleneck(hidden, hidden, shortcut, first_kernel=1) for _ in range(repeats)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, c_out, H, W)."""
        out: Tensor = self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), dim=1))
        return out


class SPPF(nn.Module):
    """Spatial pyramid pooling (arXiv 1406.4729): three chained max pools of size k, equal to those of k, 2k-1, 3k-2."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 5) -> None:
        super().__init__()
        hidden = c_in // 2
        self.cv1 = Conv(c_in, hidden)
        self.cv2 = Conv(4 * hidden, c_out)
        self.m = nn.MaxPool2d(kernel, stride=1, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, c_out, H, W)."""
        pools = [self.cv1(x)]
        for _ in range(3):
            pools.append(self.m(pools[-1]))
        out: Tensor = self.cv2(torch.cat(pools, dim=1))
        return out


class Concat(nn.Module):
    """Joins feature maps of one size along `dim`."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map [(B, c_i, H, W), ...] to (B, sum of c_i, H, W) for dim 1."""
        return torch.cat(list(features), dim=self.dim)
