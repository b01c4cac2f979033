"""Lattice points chosen by rate and distortion, hard or as expectations.

The cost of a point c for a target u is, in bits, sum_j w_j (u_j - c_j)^2 + b_j(c_j): the weight w_j
says how many bits a squared unit of error in that element is worth. Such a sum is minimized, and a
random point with probability proportional to 2^(-cost / temperature) averaged, over all points with
coordinates near the target's, two or three of each residue: exactly, and without listing them. See
:meth:`latentopt.lattices.Lattice.cheapest`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentopt.lattices import Lattice
from latentopt.pmf import CoordinateBits

_NEAR = 1.2  # latent units between candidates of one residue, below which there are three


@dataclass(frozen=True)
class Vectors:
    """Vectors of one lattice, each of one level, whose points are to be chosen."""

    lattice: Lattice
    bits: CoordinateBits
    levels: Tensor  # (n,)
    weight: Tensor  # (n, v) bits per squared latent unit

    @property
    def _units(self) -> Tensor:
        return torch.tensor(self.lattice.units, device=self.weight.device)

    def cheapest(self, target: Tensor) -> Tensor:
        """Coordinates (n, v) of the points that cost least."""
        m, cost = self._candidates(target)
        low, which = cost.min(dim=3)
        residues = self.lattice.cheapest(low)
        m = m.gather(3, which[..., None])[..., 0]  # (n, v, modulus)
        return m.gather(2, residues[..., None])[..., 0]

    def mean(self, target: Tensor, temperature: float) -> Tensor:
        """Expected points (n, v), in latent units, at a temperature in bits."""
        m, cost = self._candidates(target)
        log_weight = cost * (-0.6931472 / temperature)
        inner = torch.softmax(log_weight, dim=3)
        residue = self.lattice.residue_marginals(log_weight.logsumexp(dim=3))
        return ((m * inner).sum(dim=3) * residue).sum(dim=2) * self._units

    def _candidates(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """For each coordinate and residue, a few near values, and their costs: (n, v, r, k)."""
        modulus = self.lattice.modulus
        residues = torch.arange(modulus, device=target.device)
        place = ((target / self._units)[..., None] - residues) / modulus  # (n, v, r)
        if modulus * min(self.lattice.units) < _NEAR:
            whole = torch.round(place)[..., None] + torch.tensor([-1.0, 0.0, 1.0]).to(place)
        else:
            whole = torch.floor(place)[..., None] + torch.tensor([0.0, 1.0]).to(place)
        m = whole * modulus + residues[:, None]
        error = target[..., None, None] - m * self._units[:, None, None]
        return m, self.weight[..., None, None] * error**2 + self.bits(self.levels, m)
