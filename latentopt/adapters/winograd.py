"""Convolutions in float64, for which PyTorch has only a slow path on CPUs.

    4 rows of an output see 6 rows ─► 6 combinations of them ─► products with kernels, column by
    column of these ─► 4 combinations of the products: the rows

Of 3 x 3, by Winograd's minimal filtering F(4, 3) along columns: six products where there were
twelve. Along rows nothing is transformed, so that each product is of matrices that lie in memory as
they are; four rows at a time are made in room that stays within a processor's cache. Of 5 x 5 with
strides of two: as 3 x 3 of the four phases of the input. Equal to the plain sum in exact
arithmetic, and within some 1e-14 of it in float64.
"""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

_ROWS = 4  # that are made at once
_SIZE = 3  # of kernels
_SEES = _ROWS + _SIZE - 1  # rows


def _exact(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# Lavin and Gray 2016, where these are called B^T, G and A^T: points 0, 1, -1, 2, -2, infinity
_SEEN = _exact(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_KERNEL = _exact([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_MADE = _exact([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def quicken(model: Network) -> Network:
    """A model of which, in place, all convolutions are made so that can be.

    In a Sequential, an activation right after one writes over what that made: new memory for each
    layer costs as much as what is computed there.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_known(module):
            module.__class__ = _Quick
        elif type(module) is nn.Sequential:
            module.__class__ = _Overwriting
    return model


class _Overwriting(nn.Sequential):
    """Layers of which some write over what the one before made, where nobody else can see that."""

    def forward(self, x: Tensor) -> Tensor:
        before: nn.Module | None = None
        for layer in self:
            if isinstance(before, nn.Conv2d) and _is_unseen(before, layer, x):
                slope = layer.negative_slope if isinstance(layer, nn.LeakyReLU) else 0.0
                x = F.leaky_relu_(x, slope)
            else:
                x = layer(x)
            before = layer
        return x


def _is_unseen(before: nn.Module, layer: nn.Module, x: Tensor) -> bool:
    """Whether a layer is an activation, and neither gradients nor hooks see what it is given."""
    hooks = before._forward_hooks or layer._forward_hooks or layer._forward_pre_hooks
    return type(layer) in (nn.ReLU, nn.LeakyReLU) and not hooks and not x.requires_grad


def _sizes(layer: nn.Conv2d) -> tuple[object, ...]:
    return layer.kernel_size, layer.stride, layer.padding


_FEW = 1024  # pixels of an output, which kernels are not worth transforming for

_PLAIN = (3, 3), (1, 1), (1, 1)
_HALVING = (5, 5), (2, 2), (2, 2)


def _is_known(layer: nn.Conv2d) -> bool:
    """Whether it is of 3 x 3, or of 5 x 5 with strides of two, padded by zeros to the same size or
    half of it, without dilation or groups.
    """
    known = _sizes(layer) in (_PLAIN, _HALVING) and layer.dilation == (1, 1)
    return known and layer.groups == 1 and layer.padding_mode == "zeros"


class _Quick(nn.Conv2d):
    """A convolution that is known; PyTorch's where gradients are asked for."""

    def forward(self, x: Tensor) -> Tensor:
        bias = () if self.bias is None else (self.bias,)
        is_asked = any(tensor.requires_grad for tensor in (x, self.weight, *bias))
        if (torch.is_grad_enabled() and is_asked) or not self._can_be_made(x):
            return super().forward(x)
        if self.stride == (1, 1):
            return convolve(x, self.weight, self.bias)
        return convolve(F.pixel_unshuffle(x, 2), phased(self.weight), self.bias)

    def _can_be_made(self, x: Tensor) -> bool:
        if x.dtype != torch.float64 or self.weight.dtype != x.dtype:
            return False
        if x.dim() != 4 or x.shape[1] != self.in_channels or not len(x):
            return False
        height, width = x.shape[-2:]
        stride = self.stride[0]
        is_whole = height % stride == 0 and width % stride == 0
        return is_whole and height * width >= _FEW * stride**2


def phased(weight: Tensor) -> Tensor:
    """Kernels (M, 4 C, 3, 3) of an input's phases, for kernels (M, C, 5, 5) with strides of two.

    Output i sees input 2 (i + q) + p, phase p at i + q, by the kernel's element 2 (q + 1) + p.
    """
    split = F.pad(weight, (0, 1, 0, 1)).unflatten(3, (3, 2)).unflatten(2, (3, 2))
    return split.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


@torch.no_grad()
def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Images (B, C, H, W), padded by one zero, with kernels (M, C, 3, 3): (B, M, H, W).

    All in float64 on the CPU.
    """
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    bands = _Bands(torch.einsum("ki,mcij->jkmc", _KERNEL, weight).contiguous(), x.shape[-1])
    made = x.new_empty(len(x), len(weight), *x.shape[-2:])
    for image, output in zip(x, made):
        for top in range(0, x.shape[-2], _ROWS):
            rows = output[:, top : top + _ROWS]
            found = bands.rows(image, top).transpose(0, 1)[:, : rows.shape[1]]
            torch.add(found, bias[:, None, None], out=rows)
    return made


class _Bands:
    """Room to make four rows at a time.

    Args:
        kernels: transformed along columns, (3, 6, M, C).
        width: of the images.
    """

    def __init__(self, kernels: Tensor, width: int):
        self._kernels = kernels
        channels_out, channels = kernels.shape[2:]
        self._seen = kernels.new_zeros(_SEES, channels, width + _SIZE - 1)
        self._turned = torch.empty_like(self._seen)
        self._products = kernels.new_empty(_SEES, channels_out, width)
        self._made = kernels.new_empty(_ROWS, channels_out, width)

    def rows(self, image: Tensor, top: int) -> Tensor:
        """(4, M, W) from an image (C, H, W), where ``top`` is the first; valid until the next."""
        self._see(image, top)
        torch.mm(_SEEN, self._seen.flatten(1), out=self._turned.flatten(1))
        first, *others = (self._turned[..., j : j + self._products.shape[-1]] for j in range(_SIZE))
        torch.bmm(self._kernels[0], first, out=self._products)
        for kernels, turned in zip(self._kernels[1:], others):
            self._products.baddbmm_(kernels, turned)
        torch.mm(_MADE, self._products.flatten(1), out=self._made.flatten(1))
        return self._made

    def _see(self, image: Tensor, top: int) -> None:
        """The six rows from that before ``top`` on, zero beyond the image."""
        above, height = top - 1, image.shape[1]
        start, end = max(above, 0), min(above + _SEES, height)
        inner = self._seen[..., 1:-1]
        inner[start - above : end - above] = image[:, start:end].transpose(0, 1)
        inner[: start - above] = 0
        inner[end - above :] = 0
