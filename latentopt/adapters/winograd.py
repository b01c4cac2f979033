"""Convolutions of 3 x 3 in float64, for which PyTorch has only a slow path on CPUs.

Four rows of the output are made at once from the six that they see, by Winograd's minimal filtering
F(4, 3) along columns: six products where there were twelve. Along rows nothing is transformed, so
that each product is of matrices that lie in memory as they are. Equal to the plain sum in exact
arithmetic, and within some 1e-14 of it in float64.
"""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

_ROWS = 4  # that are made at once
_SIZE = 3  # of kernels


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
    """A model of which, in place, all plain 3 x 3 convolutions are made so where they can be."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_plain(module):
            module.__class__ = _Quick
    return model


def _is_plain(layer: nn.Conv2d) -> bool:
    """Whether it is of 3 x 3, padded by one zero, without strides, dilation or groups."""
    sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    plain = sizes == ((_SIZE, _SIZE), (1, 1), (1, 1), (1, 1))
    return plain and layer.groups == 1 and layer.padding_mode == "zeros"


class _Quick(nn.Conv2d):
    """A plain 3 x 3 convolution; PyTorch's where gradients are asked for."""

    def forward(self, x: Tensor) -> Tensor:
        is_plain = x.dtype == torch.float64 and x.dim() == 4 and not x.shape[-2] % _ROWS
        is_asked = x.requires_grad or self.weight.requires_grad
        if not is_plain or (torch.is_grad_enabled() and is_asked):
            return super().forward(x)
        return convolve(x, self.weight, self.bias)


@torch.no_grad()
def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Images (B, C, H, W), padded by one zero, with kernels (M, C, 3, 3): (B, M, H, W).

    All in float64 on the CPU, and H a multiple of 4; the result has its channels last in memory.
    """
    kernels = torch.einsum("ki,mcij->kjcm", _KERNEL, weight).contiguous()
    seen = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).contiguous()
    made = x.new_empty(len(x), *x.shape[-2:], len(weight))
    for image, output in zip(seen, made):
        for top in range(0, len(output), _ROWS):
            beyond = top + _ROWS
            output[top:beyond] = _rows(image[top : beyond + _SIZE - 1], kernels)
    if bias is not None:
        made += bias
    return made.permute(0, 3, 1, 2)


def _rows(seen: Tensor, kernels: Tensor) -> Tensor:
    """Four rows (4, W, M) from six, padded, (6, W + 2, C), and kernels (6, 3, C, M)."""
    width = seen.shape[1] - _SIZE + 1
    turned = (_SEEN @ seen.flatten(1)).view(seen.shape)
    products = turned[:, :width] @ kernels[:, 0]
    for j in range(1, _SIZE):
        products.baddbmm_(turned[:, j : j + width], kernels[:, j])
    return (_MADE @ products.flatten(1)).view(_ROWS, width, -1)
