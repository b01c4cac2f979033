"""mbt2018, cheng2020 and kin: Gaussians whose parameters also depend on decoded neighbours.

The models' own coder walks the latent position by position. But a position needs only what the mask
of the context convolution lets through, so all positions with equal w + slope * h are independent
(a wavefront), and a latent of H rows and W columns takes W + slope * (H - 1) steps, not H * W.

The context sees the lattice points before any shift: the shift's direction needs the whole latent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.errors import UnsupportedModelError
from latentopt.models.base import Leaf, Parameters, cpu_copy, flat_layers
from latentopt.models.hyperprior import ScaleAdapter


@dataclass(frozen=True)
class Wavefront:
    """Which neighbours a masked convolution sees, and the order that respects it."""

    taps: NDArray[np.int64]  # (k, 2) offsets (dh, dw) of the neighbours
    slope: int

    @staticmethod
    def of(mask: Tensor) -> "Wavefront":
        """From the mask (out, in, kh, kw) of a masked convolution.

        A neighbour (dh, dw) comes earlier if dw + slope * dh < 0.

        Raises:
            UnsupportedModelError: it sees the position itself, or one that comes later.

        >>> mask = torch.ones(1, 1, 5, 5)
        >>> mask[..., 2, 2:] = 0
        >>> mask[..., 3:, :] = 0
        >>> Wavefront.of(mask).slope
        3
        """
        seen = mask.detach().cpu().bool().numpy().any(axis=(0, 1))
        taps = np.argwhere(seen) - np.array(seen.shape) // 2
        if any((dh, dw) >= (0, 0) for dh, dw in taps):
            raise UnsupportedModelError("the context convolution sees what is not decoded yet")
        return Wavefront(taps, max((dw // -dh + 1 for dh, dw in taps if dh < 0), default=1))

    def steps(self, height: int, width: int) -> Iterator[tuple[NDArray, NDArray]]:
        """Rows and columns of the positions of each step, in order."""
        rows, columns = np.indices((height, width)).reshape(2, -1)
        time = columns + self.slope * rows
        order = np.argsort(time, kind="stable")
        ends = np.cumsum(np.bincount(time))
        for start, stop in zip([0, *ends[:-1]], ends):
            where = order[start:stop]
            if len(where):
                yield rows[where], columns[where]


class ContextModel:
    """A masked convolution and the network that turns it into entropy parameters, as a walk."""

    def __init__(self, convolution: Any, head: nn.Module):
        self._wavefront = Wavefront.of(convolution.mask)
        self._reach = np.array(convolution.kernel_size) // 2
        taps = self._wavefront.taps + self._reach
        weight = (convolution.weight * convolution.mask)[:, :, taps[:, 0], taps[:, 1]].detach()
        bias = weight.new_zeros(len(weight)) if convolution.bias is None else convolution.bias
        self._weight, self._bias = weight.flatten(1), bias.detach()[:, None]  # (out, in * taps)
        self._head = [_pointwise(layer) for layer in flat_layers(head)]

    def walk(self, given: Tensor, cells: NDArray[np.int64], leaf: Leaf) -> Tensor:
        """Code a latent (M, h, w) whose elements have the places ``cells``; returns it decoded.

        ``given`` (C, h, w) is what is known of each position beforehand, from the side latent.
        """
        channels, height, width = cells.shape
        padded = np.array([height, width]) + 2 * self._reach
        y_hat = given.new_zeros(channels, *padded)
        flat = y_hat.flatten(1)  # shares its memory
        offsets = self._wavefront.taps @ np.array([padded[1], 1])
        for rows, columns in self._wavefront.steps(height, width):
            places = (rows + self._reach[0]) * padded[1] + columns + self._reach[1]
            seen = flat[:, (places + offsets[:, None]).ravel()]  # (M, taps * n)
            context = self._weight @ seen.reshape(-1, len(places)) + self._bias
            scales, means = self._parameters(given[:, rows, columns], context)
            hat = leaf(cells[:, rows, columns].ravel(), scales.ravel(), means.ravel())
            flat[:, places] = torch.from_numpy(hat.reshape(channels, -1)).to(flat)
        top, left = self._reach
        return y_hat[:, top : top + height, left : left + width]

    def _parameters(self, given: Tensor, context: Tensor) -> tuple[NDArray, NDArray]:
        """Scales and means (M, n) from what is given (C, n) and the context (C', n)."""
        x = torch.cat([given, context])
        for layer in self._head:
            x = layer(x)
        scales, means = x.chunk(2)
        return scales.numpy(), means.numpy()


def _pointwise(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """A layer as a function of positions (C, n), which do not see each other.

    A convolution over one position is a matrix product, and faster as one.
    """
    if isinstance(layer, nn.Conv2d) and layer.groups == 1 and set(layer.kernel_size) == {1}:
        weight = layer.weight.detach()[:, :, 0, 0]
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
        return lambda x: torch.addmm(bias[:, None], weight, x)
    return lambda x: layer(x.T[:, :, None, None])[:, :, 0, 0].T


class ContextAdapter(ScaleAdapter):
    """CompressAI's ``JointAutoregressiveHierarchicalPriors`` (Minnen et al. 2018) and subclasses.

    Everything that the walk computes feeds later scales, so all of it is float64 on the CPU where
    ``portable``; otherwise float32, on the CPU too, since each step waits for the entropy coder.
    """

    def refresh(self) -> None:
        super().refresh()
        Wavefront.of(self.model.context_prediction.mask)  # refuse now what cannot be walked
        self.__dict__.pop("_context", None)

    def decoder_parts(self) -> list[nn.Module]:
        context = [self.model.context_prediction, self.model.entropy_parameters]
        return [*super().decoder_parts(), *context]

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.h_a(y)

    def main_shape(self, features: NDArray) -> tuple[int, ...]:
        return (self.model.context_prediction.in_channels, *features.shape[1:])

    @cached_property
    def _context(self) -> ContextModel:
        parts = self.model.context_prediction, self.model.entropy_parameters
        return ContextModel(*(cpu_copy(part, self.dtype) for part in parts))

    def visit(self, features: NDArray, leaf: Leaf) -> None:
        shape = self.main_shape(features)
        cells = np.arange(np.prod(shape)).reshape(shape)
        self._context.walk(torch.from_numpy(features), cells, leaf)

    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        like = next(self.model.parameters())
        decoded = torch.from_numpy(y).reshape(1, *self.main_shape(features)).to(like)
        context = self.model.context_prediction(decoded)
        given = torch.from_numpy(features)[None].to(like)
        output = self.model.entropy_parameters(torch.cat([given, context], dim=1))
        scales, means = output[0].float().cpu().numpy().reshape(2, -1)
        return Parameters(scales, means)
