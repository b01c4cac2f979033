"""Lattice points chosen by rate and distortion, hard or as expectations.

The cost of a point c for a target u is, in bits, sum_j w_j (u_j - c_j)^2 + b_j(c_j): the weight w_j
says how many bits a squared unit of error in that element is worth. Such a sum is minimized, and a
random point with probability proportional to 2^(-cost / temperature) averaged, over all points with
coordinates near the target's, two or three of each residue: exactly, and without listing them. See
:meth:`latentopt.lattices.Lattice.cheapest`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.encoder.prices import CoordinateBits, Prices
from latentopt.latents import Prior
from latentopt.latents.lattice import Moved, Part
from latentopt.lattices import Lattice
from latentopt.pmf.tables import Ints

_CHUNK = 1 << 16  # elements whose vectors are chosen at a time
_NEGLIGIBLE = -80.0  # logarithm of a weight beside 1; below it numbers get slow
_NEAR = 1.2  # latent units between candidates of one residue, below which there are three


@dataclass(frozen=True)
class Vectors:
    """Vectors of one lattice, each of one level, whose points are to be chosen."""

    lattice: Lattice
    bits: CoordinateBits
    levels: Tensor  # (n,), or (n, v) where each coordinate has its own
    weight: Tensor  # (n, v) bits per squared latent unit
    moves: Tensor | None = None
    """(n, v) by how many units of the lattice each centre was moved; targets and coordinates are
    counted from there."""

    @staticmethod
    def of(part: Part, prices: Prices, weight: Tensor) -> "Vectors":
        """Those of a part; ``weight`` (n, v)."""
        bits = prices.of(part.lattice, weight.device)
        if isinstance(part, Moved):
            own, moves = (torch.from_numpy(a).to(weight.device) for a in (part.own, part.moves))
            return Vectors(part.lattice, bits, own, weight, moves)
        levels = torch.from_numpy(part.levels).to(weight.device)
        return Vectors(part.lattice, bits, levels, weight)

    def cheapest(self, target: Tensor) -> Tensor:
        """Coordinates (n, v) of the points that cost least, for targets (n, v)."""
        return self._in_chunks(target, Vectors._cheapest)

    def mean(self, target: Tensor, temperature: float) -> Tensor:
        """Expected points (n, v), in latent units, at a temperature in bits."""
        return self._in_chunks(target, lambda some, t: some._mean(t, temperature))

    def _in_chunks(self, target: Tensor, choose: "Callable[[Vectors, Tensor], Tensor]") -> Tensor:
        """Some vectors after the other: their candidates take a hundred times their memory."""
        rows = _CHUNK // self.lattice.dim
        if len(target) <= rows:
            return choose(self, target)
        cuts = (slice(start, start + rows) for start in range(0, len(target), rows))
        return torch.cat([choose(self._some(cut), target[cut]) for cut in cuts])

    def _some(self, rows: slice) -> "Vectors":
        moves = None if self.moves is None else self.moves[rows]
        return replace(self, levels=self.levels[rows], weight=self.weight[rows], moves=moves)

    def _cheapest(self, target: Tensor) -> Tensor:
        m, cost = self._candidates(target)
        best, low = m[0], cost[0]  # (r, v, n)
        for other, own in zip(m[1:], cost[1:]):
            best, low = torch.where(own < low, other, best), torch.minimum(own, low)
        residues = self.lattice.cheapest(low.permute(2, 1, 0)).movedim(0, -1)
        return best.gather(0, residues[None])[0].T

    def _mean(self, target: Tensor, temperature: float) -> Tensor:
        m, cost = self._candidates(target)
        log_weight = cost * (-0.6931472 / temperature)
        top = log_weight.amax(dim=0)
        weight = torch.exp((log_weight - top).clamp(min=_NEGLIGIBLE))
        total = weight.sum(dim=0)  # (r, v, n)
        of_residue = (m * weight).sum(dim=0) / total
        if self.lattice.modulus == 1:  # each coordinate is of the one residue
            return (of_residue[0] * self._units).T
        residues = self.lattice.residue_marginals((top + torch.log(total)).permute(2, 1, 0))
        return ((of_residue * residues.permute(2, 1, 0)).sum(dim=0) * self._units).T

    @property
    def _units(self) -> Tensor:
        return torch.tensor(self.lattice.units, device=self.weight.device)[:, None]

    def _candidates(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """A few near values of each residue and coordinate, and their costs: (k, r, v, n).

        Vectors come last, as reductions over short last dimensions are slow.
        """
        modulus, u = self.lattice.modulus, target.T.contiguous()
        residues = torch.arange(modulus, device=u.device)[:, None, None]
        if self.moves is not None:  # a point of the lattice has the residue, not what is left of it
            residues = residues - self.moves.movedim(0, -1)
        place = (u / self._units - residues) / modulus  # (r, v, n)
        if modulus * min(self.lattice.units) < _NEAR:
            whole = torch.stack([torch.round(place) + k for k in (-1, 0, 1)])
        else:
            whole = torch.stack([torch.floor(place) + k for k in (0, 1)])
        m = whole * modulus + residues
        error = u - m * self._units
        levels, weight = self.levels.movedim(0, -1), self.weight.movedim(0, -1)
        return m, weight * error**2 + self.bits(levels, m)


class Cheapest:
    """A :class:`latentopt.latents.lattice.Chooser`: the least rate + weight * squared error.

    Args:
        weight: (n,) of each element of the latent, bits per squared latent unit.
    """

    def __init__(self, prices: Prices, weight: NDArray[np.floating]):
        self._prices, self._weight = prices, weight

    def __call__(
        self,
        parts: Sequence[Part],
        index: NDArray[np.int64],
        prior: Prior,
        residual: NDArray[np.floating],
        /,
    ) -> list[Ints]:
        weight = prior.scaled(self._weight[index], power=2)
        return [self._of(part, residual, weight) for part in parts]

    def _of(self, part: Part, residual: NDArray[np.floating], weight: NDArray[np.floating]) -> Ints:
        x, w = (torch.from_numpy(a[part.index]).float() for a in (residual, weight))
        return Vectors.of(part, self._prices, w).cheapest(x).numpy().astype(np.int32)
