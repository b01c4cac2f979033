"""mbt2018, cheng2020 and kin: Gaussians whose parameters also depend on decoded neighbours.

The models' own coder walks the latent position by position. But a position needs only what the mask
of the context convolution lets through, so all positions with equal w + slope * h are independent
(a wavefront), and a latent of H rows and W columns takes W + slope * (H - 1) steps, not H * W.

The context sees the lattice points before any shift: the shift's direction needs the whole latent.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.alone import on_one_thread
from latentopt.adapters.base import as_numpy, cpu_copy, derived, flat_layers
from latentopt.adapters.hyperprior import ScaleAdapter
from latentopt.adapters.side import Describe, Leaf, Parameters, SideAdapter
from latentopt.adapters.still import peeled
from latentopt.errors import UnsupportedModelError


@dataclass(frozen=True)
class Wavefront:
    """Which neighbours a masked convolution sees, and the order that respects it."""

    taps: NDArray[np.int64]  # (k, 2) offsets (dh, dw) of the neighbours
    slope: int

    @staticmethod
    def of(convolution: nn.Conv2d) -> "Wavefront":
        """From a masked convolution, whose ``mask`` is (out, in, kh, kw).

        A neighbour (dh, dw) comes earlier if dw + slope * dh < 0.

        Raises:
            UnsupportedModelError: it sees the position itself, or one that comes later, or has
                strides, dilation or groups.

        >>> from compressai.layers import MaskedConv2d
        >>> Wavefront.of(MaskedConv2d(4, 8, kernel_size=5, padding=2)).slope
        3
        """
        if {*convolution.stride, *convolution.dilation, convolution.groups} != {1}:
            raise UnsupportedModelError("the context convolution has strides, dilation or groups")
        seen = _mask(convolution).detach().cpu().bool().numpy().any(axis=(0, 1))
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
    """A masked convolution and the network that turns it into entropy parameters, as a walk.

    In NumPy: a step has a dozen positions, and such narrow matrix products take PyTorch up to three
    times as long. On one thread: more of them would wait for each other more than they work.
    """

    def __init__(self, convolution: nn.Conv2d, head: nn.Module):
        self._wavefront = Wavefront.of(convolution)
        self._reach = np.array(convolution.kernel_size) // 2
        rows, columns = (self._wavefront.taps + self._reach).T
        weight = (convolution.weight * _mask(convolution))[:, :, rows, columns].movedim(1, 2)
        self._weight = as_numpy(weight.flatten(1))  # (out, taps * M)
        self._bias = _column(convolution.bias)
        self._head = [_pointwise(layer) for layer in flat_layers(head)]

    @on_one_thread
    def walk(self, given: NDArray, cells: NDArray[np.int64], leaf: Leaf) -> NDArray:
        """Code a latent (M, h, w) whose elements have the places ``cells``; returns it decoded.

        ``given`` (C, h, w) is what is known of each position beforehand, from the side latent.
        """
        channels, height, width = cells.shape
        top, left = self._reach
        y_hat = np.zeros((height + 2 * top, width + 2 * left, channels), self._weight.dtype)
        flat = y_hat.reshape(-1, channels)  # shares its memory
        offsets = self._wavefront.taps @ np.array([width + 2 * left, 1])
        for rows, columns in self._wavefront.steps(height, width):
            places = (rows + top) * (width + 2 * left) + columns + left
            seen = flat[places[:, None] + offsets].reshape(len(places), -1)  # (n, taps * M)
            context = self._weight @ seen.T + self._bias
            scales, means = self._parameters(given[:, rows, columns], context)
            hat = leaf(cells[:, rows, columns].ravel(), scales.ravel(), means.ravel())
            flat[places] = hat.reshape(channels, -1).T
        return y_hat[top : top + height, left : left + width].transpose(2, 0, 1)

    def _parameters(self, given: NDArray, context: NDArray) -> list[NDArray]:
        """Scales and means (M, n) from what is given (C, n) and the context (C', n)."""
        x = np.concatenate([given, context])
        for layer in self._head:
            x = layer(x)
        return np.split(x, 2)


def _pointwise(layer: nn.Module) -> Callable[[NDArray], NDArray]:
    """A layer as a function of positions (C, n), which do not see each other."""
    if isinstance(layer, nn.Conv2d) and layer.groups == 1 and set(layer.kernel_size) == {1}:
        weight, bias = as_numpy(layer.weight[:, :, 0, 0]), _column(layer.bias)
        return lambda x: weight @ x + bias
    return lambda x: layer(torch.from_numpy(x).T[:, :, None, None])[:, :, 0, 0].T.numpy()


def _mask(convolution: nn.Conv2d) -> Tensor:
    """Of a masked convolution, (out, in, kh, kw)."""
    return peeled(convolution).get_buffer("mask")


def _column(bias: Tensor | None) -> NDArray | float:
    return 0.0 if bias is None else as_numpy(bias)[:, None]


class WalkedAdapter(SideAdapter):
    """A family whose main latent is walked in wavefronts."""

    contextual = True

    @property
    @abstractmethod
    def walked(self) -> tuple[nn.Conv2d, nn.Module]:
        """The masked convolution, and the head of the entropy parameters."""

    def head(self, head: nn.Module) -> nn.Module:
        """A head whose outputs are scales, then means; its copy ``head`` may be changed."""
        return head

    def main_shape(self, features: NDArray) -> tuple[int, ...]:
        return (self.walked[0].in_channels, *features.shape[1:])

    @derived
    def _context(self) -> ContextModel:
        convolution, head = self.walked
        own_head = self.head(cpu_copy(head, self.dtype))
        return ContextModel(cpu_copy(convolution, self.dtype), own_head)

    def visit(self, features: NDArray, leaf: Leaf) -> None:
        shape = self.main_shape(features)
        cells = np.arange(np.prod(shape)).reshape(shape)
        self._context.walk(features, cells, leaf)

    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        convolution, head = self.walked
        like = next(self.model.parameters())
        decoded = torch.from_numpy(y).reshape(1, *self.main_shape(features)).to(like)
        given = torch.from_numpy(features)[None].to(like)
        output = head(torch.cat([given, convolution(decoded)], dim=1))
        return self.split_head(output[0].float().cpu().numpy().reshape(2, -1))

    def split_head(self, output: NDArray) -> Parameters:
        """Entropy parameters from what the model's own head says (2, n)."""
        return Parameters(*output)


class ContextAdapter(WalkedAdapter, ScaleAdapter):
    """CompressAI's ``JointAutoregressiveHierarchicalPriors`` (Minnen et al. 2018) and subclasses.

    Everything that the walk computes feeds later scales, so all of it is float64 on the CPU where
    ``portable``; otherwise float32, on the CPU too, since each step waits for the entropy coder.
    """

    @property
    def walked(self) -> tuple[nn.Conv2d, nn.Module]:
        return self.model.context_prediction, self.model.entropy_parameters

    def refresh(self) -> None:
        super().refresh()
        Wavefront.of(self.model.context_prediction)  # refuse now what cannot be walked

    def decoder_parts(self) -> list[nn.Module]:
        return [*super().decoder_parts(), *self.walked]

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.h_a(y)

    def describing(self, y: Tensor) -> Describe | None:
        convolution, head = self.walked
        context = convolution(y)
        return lambda side: head(torch.cat([self.model.h_s(side), context], dim=1)).chunk(2, 1)


def swapped(head: nn.Module) -> nn.Module:
    """Networks of means and scales, in that order, with their last layer's outputs swapped."""
    *_, last = flat_layers(head)
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    half = last.out_channels // 2
    last.weight.data = last.weight.data.roll(half, 0)
    last.bias.data = last.bias.data.roll(half, 0)
    return head
