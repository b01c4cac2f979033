"""Fits the network of a context: the bits that it saves, on residuals that an encoder has chosen.

The price of a residual is linear between the levels, and between the shifts, that the tables have;
so the loss is made of the coder's own bits, and has gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.encoder.prices import Prices
from latentopt.encoder.sensitivity import gradients
from latentopt.latents import Prior
from latentopt.latents.lattice import LatticeChannel
from latentopt.latents.lattice.context import FRACTION, UNIT, Base, Features, Network
from latentopt.latents.lattice.context.network import INPUTS, LARGEST_WEIGHT, OUTPUTS, SHAPES, TOP
from latentopt.latents.lattice.context.surroundings import OCTAVE, OF_PLACES
from latentopt.lattices import LATTICES
from latentopt.pmf.tables import Ints

_HIDDEN_UNIT, _WEIGHT_UNIT = 64, 256  # of activations and weights, as integers
_BATCH = 8192
_REACH = 500  # residuals beyond it count as those at it


@dataclass(frozen=True)
class Examples:
    """Elements of latents with what is known around them."""

    features: NDArray[np.int8]  # (n, INPUTS)
    base: NDArray[np.int64]  # (n,) rung of the ladder from which each element moves
    residual: NDArray[np.int16]  # (n,)

    def take(self, rows: NDArray[np.int64]) -> "Examples":
        """Some of them."""
        return Examples(self.features[rows], self.base[rows], self.residual[rows])

    @staticmethod
    def joined(several: "Sequence[Examples]") -> "Examples":
        """All of them."""
        columns = zip(*((e.features, e.base, e.residual) for e in several))
        return Examples(*map(np.concatenate, columns))


class _Recorder:
    """Stands for a network, moves nothing, and keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[NDArray[np.int8]] = []

    def __call__(self, features: Features) -> NDArray[np.float32]:
        elements = features.elements
        places = np.broadcast_to(features.places[:, None], (OF_PLACES, *elements.shape[1:]))
        rows = np.concatenate([places, elements]).reshape(INPUTS, -1)
        self.seen.append(rows.T.astype(np.int8))
        return np.zeros((OUTPUTS, rows.shape[1]), np.float32)

    def dump(self) -> Ints:
        return np.zeros(0, np.int32)

    def digest(self) -> bytes:
        return b""


def examples_of(channel: LatticeChannel, prior: Prior, residual: NDArray[np.floating]) -> Examples:
    """Of one latent that has crossed, given its entropy parameters before any context."""
    recorder, order = _Recorder(), list[NDArray[np.int64]]()
    context = channel.context_of(recorder)

    def carry(index: NDArray[np.int64], own: Prior, base: Base | None) -> NDArray[np.floating]:
        order.append(index)
        return residual[index]

    context.cross(prior, carry)
    adapted = np.concatenate(order)[-sum(map(len, recorder.seen)) :]  # quiet channels come first
    k = np.clip(np.rint(residual[adapted]), -_REACH, _REACH).astype(np.int16)
    base = context.base(prior.levels[adapted]) - channel.density.ladder.start
    return Examples(np.concatenate(recorder.seen), base, k)


class Ladder:
    """What residuals cost at each rung of a channel's ladder, and what magnitude it expects."""

    def __init__(self, channel: LatticeChannel, prices: Prices):
        ladder = channel.density.ladder
        k = torch.arange(-2 * _REACH, 2 * _REACH + 1)
        of = prices.of(LATTICES["int"])
        levels = torch.arange(ladder.start, ladder.stop)
        rows = [of(level.expand(len(k)), k[None])[0] for level in levels]
        self.bits = torch.stack(rows)  # (rungs, 4 REACH + 1)
        magnitudes = channel.tables.magnitudes(UNIT)[ladder.start : ladder.stop]
        self.expected = torch.from_numpy(magnitudes / UNIT).float()

    def __call__(self, base: Tensor, k: Tensor, moved: Tensor) -> Tensor:
        """(n,) bits of residuals ``k`` at rungs ``base``, ``moved`` (n, 2) by a network."""
        rung = (base + moved[:, 0]).clamp(0, len(self.bits) - 1.001)
        centre = (moved[:, 1] * self.expected[base]).clamp(-_REACH, _REACH)
        low, left = rung.detach().floor(), centre.detach().floor()
        up, right = rung - low, centre - left
        flat, row = self.bits.flatten(), self.bits.shape[1]
        at = low.long() * row + (k - left.long()) + 2 * _REACH
        narrow = flat[at] * (1 - right) + flat[at - 1] * right
        wide = flat[at + row] * (1 - right) + flat[at + row - 1] * right
        return narrow * (1 - up) + wide * up

    def mean_bits(self, examples: Examples, network: Network | None) -> float:
        """Of an element, moved by a network, if there is one."""
        moved = np.zeros((OUTPUTS, len(examples.base)), np.float32)
        if network:
            rows = examples.features.T.astype(np.float32)
            moved = network(Features(rows[:OF_PLACES], rows[OF_PLACES:, None])) / FRACTION
        base, k = torch.from_numpy(examples.base), torch.from_numpy(examples.residual).long()
        return float(self(base, k, torch.from_numpy(moved.T)).mean())


class _Model(nn.Module):
    """The network in floating point: its integers are these numbers in their units."""

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.layers = nn.ParameterList()
        for rows, columns in SHAPES:
            layer = torch.randn(rows, columns, generator=generator) * (rows - 1) ** -0.5
            layer[-1] = 0
            self.layers.append(layer)
        with torch.no_grad():
            self.layers[-1].mul_(0.1)

    def forward(self, features: Tensor) -> Tensor:
        x = features / OCTAVE
        *hidden, last = self.layers
        for layer in hidden:
            x = (x @ layer[:-1] + layer[-1]).clamp(0, TOP / _HIDDEN_UNIT)
        return x @ last[:-1] + last[-1]

    @torch.no_grad()
    def bound(self) -> None:
        """Keep the weights within what integers of the network can say."""
        for layer in self.layers:
            layer[:-1].clamp_(-LARGEST_WEIGHT / _WEIGHT_UNIT, LARGEST_WEIGHT / _WEIGHT_UNIT)

    def network(self) -> Network:
        """As integers."""
        made = []
        for layer, unit in zip(self.layers, (OCTAVE, _HIDDEN_UNIT, _HIDDEN_UNIT)):
            integers = layer.detach().double() * _WEIGHT_UNIT
            integers[-1] *= unit
            made.append(integers.round().to(torch.int32).numpy())
        return Network(made)


def fit_network(
    examples: Examples,
    ladder: Ladder,
    weight: Tensor | None = None,
    steps: int = 3000,
) -> Network:
    """The network that makes examples cheap, from a fixed start.

    Args:
        weight: (n,) of each example; None: all the same.
    """
    generator = torch.Generator().manual_seed(0)
    features, base, k = (
        torch.from_numpy(a) for a in (examples.features, examples.base, examples.residual)
    )
    with gradients():
        model = _Model(generator)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            rows = torch.randint(len(k), (_BATCH,), generator=generator)
            bits = ladder(base[rows], k[rows].long(), model(features[rows].float()))
            loss = bits.mean() if weight is None else (bits * weight[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            model.bound()
    return model.network()
