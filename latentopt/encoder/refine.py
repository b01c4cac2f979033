"""Refinement: moves a latent, by gradients through the synthesis, to where good points are.

The encoder's problem is to choose lattice points c with the least bits(c) + trade |x - g_s(c)|^2.
Mean-field annealing solves it well in few steps: every vector is a random lattice point, drawn
with probability 2^(-cost / temperature), independently of the others; the latent is made of their
means m. The squared error is quadratic in c, to second order; of its curvature only the diagonal w
belongs to a vector's own cost, and that of its own spread cancels:

    cost(c) = bits(c) + sum_j w_j (u_j - c_j)^2,    u = m - trade * J^T (g_s(m) - x) / w

So each step takes one gradient, then moves m part of the way towards the means that follow from it
(all vectors move at once, and their errors add up in the image). As the temperature falls the
distributions contract to points. The expectations are exact over the whole lattice: see
:meth:`latentopt.lattices.Lattice.residue_marginals`.

Annealing of integers by stochastic gradients (Yang, Bamler and Mandt 2020) needs ten times as many
steps for the same gain: it learns from samples what is summed here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from latentopt.adapters.tiles import WHOLE, Tile
from latentopt.densities import Floats
from latentopt.encoder.choice import Vectors
from latentopt.encoder.effort import Schedule
from latentopt.encoder.prices import Prices
from latentopt.encoder.sensitivity import gradients
from latentopt.latents import Prior
from latentopt.latents.lattice import Part

_QUIET = 0.2  # spread below which a vector without outliers is all zero
_OUTLIER = 0.4
_REACH = 1.2  # latent units that a gradient may move a target: beyond, the error is not quadratic


class Pulling(Protocol):
    """What is minimized, besides the bits of the latent itself."""

    def pull(self, y_hat: Tensor, shape: tuple[int, ...], /) -> Tensor:
        """How far each target lies from ``y_hat``, both (n,); ``shape`` is (M, h, w)."""


@dataclass(frozen=True)
class Objective:
    """What is minimized for one image: bits + trade * squared error."""

    synthesis: Callable[[Tensor], Tensor]
    """Differentiable, a latent (1, M, h, w) to an image, not clipped, of at least x's size."""
    x: Tensor  # (1, 3, H, W)
    trade: float
    """Bits that a squared error of 1, summed over all samples, is worth."""
    weight: Tensor  # (n,) bits that a squared latent unit of error is worth

    tiles: Callable[[Tensor], Iterable[Tile]] = lambda y: [WHOLE]
    """Parts of a latent (1, M, h, w) to synthesize one after the other."""

    def pull(self, y_hat: Tensor, shape: tuple[int, ...]) -> Tensor:
        """How far each target lies from ``y_hat``, both (n,): the gradient over the weight."""
        y_hat = y_hat.reshape(1, *shape)
        gradient = torch.zeros_like(y_hat)
        for tile in self.tiles(y_hat):
            gradient[(..., *tile.taken)] += self._gradient(y_hat[(..., *tile.taken)], tile)
        pull = -self.trade * gradient.flatten().float() / self.weight
        return within_reach(pull)

    def _gradient(self, y_hat: Tensor, tile: Tile) -> Tensor:
        """Of half the squared error of a tile's core."""
        x = self.x[(..., *tile.core)]
        with gradients():
            leaf = y_hat.clone().requires_grad_(True)
            image = self.synthesis(leaf)[(..., *tile.within)]
            image = image[..., : x.shape[-2], : x.shape[-1]].float()
            error = image.detach().clamp(0, 1) - x
            [gradient] = torch.autograd.grad(image, leaf, error)
        return gradient


def within_reach(pull: Tensor) -> Tensor:
    """A pull as far as its gradient can be believed; none where it is no number."""
    return pull.nan_to_num(0.0).clamp(-_REACH, _REACH)


class Field:
    """The vectors of a latent as independent random points around a target.

    Args:
        spreads: (levels,) of the latent's density.
        prices: what its coordinates cost.
        parts: its vectors.
        prior: its levels and centres.
        values: (n,) the latent, which says where outliers are.
        weight: (n,) see :class:`Objective`.
    """

    def __init__(
        self,
        spreads: Floats,
        prices: Prices,
        parts: Iterable[Part],
        prior: Prior,
        values: Tensor,
        weight: Tensor,
    ):
        device = values.device
        self._centres = torch.from_numpy(prior.centres).to(values)
        self._steps = None if prior.steps is None else torch.from_numpy(prior.steps).to(values)
        wide = spreads >= _QUIET
        residual = self._residual(values).cpu().numpy()
        if self._steps is not None:
            weight = weight * self._steps**2
        self._vectors = []
        for part in parts:
            active = wide[part.own_levels] | (np.abs(residual[part.index]) > _OUTLIER)
            active = active.any(axis=1)
            chosen = part.select(active)
            index = torch.from_numpy(chosen.index).to(device)
            self._vectors.append((index, Vectors.of(chosen, prices, weight[index])))

    def mean(self, target: Tensor, temperature: float) -> Tensor:
        """Expected latent (n,) at a temperature in bits."""
        residual, out = self._residual(target), self._centres.clone()
        for index, vectors in self._vectors:
            mean = vectors.mean(residual[index], temperature)
            out[index] += mean if self._steps is None else mean * self._steps[index]
        return out

    def _residual(self, values: Tensor) -> Tensor:
        """See :meth:`latentopt.coding.Prior.residual`."""
        residual = values - self._centres
        return residual if self._steps is None else residual / self._steps


def refine(
    objective: Pulling,
    y: Tensor,
    shape: tuple[int, ...],
    field: Callable[[int, Tensor], Field],
    schedule: Schedule,
    progress: Callable[[int], bool] = lambda step: True,
) -> Tensor:
    """Anneal a latent ``y`` (n,) of ``shape`` (M, h, w): where its points should be, (n,).

    ``field`` makes the random points of a step from what stands for the decoded latent (n,).
    ``progress`` is called before each step, and ends the annealing where it returns False.
    """
    mean, move = y, torch.zeros_like(y)
    for step in range(schedule.steps):
        if not progress(step):
            break
        temperature, pace = schedule.at(step)
        target = mean + objective.pull(mean, shape)
        wanted = field(step, mean).mean(target, temperature) - mean
        move = pace * wanted + schedule.momentum * move
        mean = mean + move
    return mean
