"""A lattice as data: axis units, a modulus and cosets; the nearest point follows from them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class OuterPiece:
    """A part of the positive orthant of a cell on which the innermost half-width is smooth.

    The outer coordinates are affine-bilinear images of the unit cube, so that Gauss-Legendre
    quadrature on the cube converges exponentially (the cell's edges are the piece's edges).
    """

    corners: tuple[tuple[float, float], ...]
    """(low, high) of the first outer coordinate; then, where there is a second one, its low and its
    high, each as (value at the first's low, value at the first's high)."""

    half_width: tuple[float, ...]
    """(constant, slope_1, …): half-width of the innermost coordinate, linear in the outer ones."""


@dataclass(frozen=True)
class Lattice:
    """A lattice of unit cell volume, as a union of cosets of a rectangular sublattice.

    Every point is ``units * m`` with integer coordinates ``m``, and ``m mod modulus`` is one of
    ``cosets``. Nothing outside this package asks which lattice it has: packing, probability tables
    and the bitstream read these fields only.

    >>> from latentopt.lattices import LATTICES
    >>> oct_ = LATTICES["oct"]
    >>> m = oct_.nearest(torch.tensor([[0.6, 0.7, 0.5], [0.1, -0.2, 0.1]]))
    >>> m.tolist()
    [[1, 1, 1], [0, 0, 0]]
    >>> oct_.points(m)[0]
    tensor([0.6300, 0.6300, 0.6300])
    """

    name: str
    units: tuple[float, ...]
    modulus: int
    cosets: tuple[tuple[int, ...], ...]
    second_moment: float
    """Second moment of the cell per dimension (kappa), exact."""
    pieces: tuple[OuterPiece, ...] = ()
    """The cell, for exact integration; empty where only the product form is offered."""
    min_scale: float = 0.0
    """Standard deviation below which the product form is too inaccurate (docs/reference/pmf.md)."""

    @property
    def dim(self) -> int:
        """Dimension v of a vector."""
        return len(self.units)

    @property
    def has_whole_units(self) -> bool:
        """Whether coordinates can be moved by 1 latent unit: by so many of their own units."""
        return all((1 / unit).is_integer() for unit in self.units)

    @cached_property
    def axis_class(self) -> tuple[int, ...]:
        """For each axis, the index of its unit among the distinct units."""
        return tuple(self.distinct_units.index(u) for u in self.units)

    @cached_property
    def distinct_units(self) -> tuple[float, ...]:
        return tuple(dict.fromkeys(self.units))

    @cached_property
    def axis_keys(self) -> tuple[tuple[int, int], ...]:
        """Each pair of an axis' class and a residue that it takes, in order."""
        found = {(c, s) for coset in self.cosets for c, s in zip(self.axis_class, coset)}
        return tuple(sorted(found))

    @cached_property
    def coset_index(self) -> np.ndarray:
        """(modulus**v,) index of a coset by its pattern read as a number; -1: none."""
        index = np.full(self.modulus**self.dim, -1, dtype=np.int32)
        index[np.array(self.cosets) @ self.radix] = np.arange(len(self.cosets))
        return index

    @cached_property
    def radix(self) -> np.ndarray:
        return self.modulus ** np.arange(self.dim)

    def points(self, m: Tensor) -> Tensor:
        """Lattice points in latent units, (n, v), of integer coordinates ``m`` (n, v)."""
        dtype = m.dtype if m.is_floating_point() else torch.get_default_dtype()
        return m.to(dtype) * torch.tensor(self.units, dtype=dtype, device=m.device)

    def nearest(self, x: Tensor) -> Tensor:
        """Integer coordinates (n, v), int64, of the point nearest to each row of ``x`` (n, v).

        A union of cosets of a rectangular lattice: round in each coset, keep the nearer answer
        (Conway & Sloane 1982, section on unions of cosets). Ties go to the first coset.
        """
        units = torch.tensor(self.units, dtype=x.dtype, device=x.device)
        scaled = x / units
        best = nearest_in_coset(scaled, self.cosets[0], self.modulus)
        if len(self.cosets) > 1:
            best_d = _squared_distance(scaled, best, units)
            for coset in self.cosets[1:]:
                m = nearest_in_coset(scaled, coset, self.modulus)
                d = _squared_distance(scaled, m, units)
                nearer = d < best_d
                best = torch.where(nearer[:, None], m, best)
                best_d = torch.where(nearer, d, best_d)
        return best.to(torch.int64)

    def cheapest(self, cost: Tensor) -> Tensor:
        """Residues (n, v) of the coset with the least total cost.

        Where a cost is a sum over coordinates, the best point of the lattice is made of the best
        coordinate m_j of each residue mod ``modulus``, in the best coset: so the search over all
        points is one over cosets. ``cost`` (n, v, modulus) has those best costs per residue.
        """
        patterns = torch.tensor(self.cosets, device=cost.device)  # (c, v)
        return patterns[self._coset_sums(cost, patterns).argmin(dim=1)]

    def residue_marginals(self, log_weight: Tensor) -> Tensor:
        """Probability (n, v, modulus) of each coordinate's residue, for points drawn at random.

        A point's probability is proportional to the product of its coordinates' weights, whose
        logarithms, summed over the coordinates of one residue, are ``log_weight`` (n, v, modulus).
        """
        patterns = torch.tensor(self.cosets, device=log_weight.device)
        p = torch.softmax(self._coset_sums(log_weight, patterns), dim=1)  # (n, c)
        one_hot = nn.functional.one_hot(patterns, self.modulus).to(p.dtype)  # (c, v, modulus)
        return torch.einsum("nc,cvr->nvr", p, one_hot)

    def _coset_sums(self, values: Tensor, patterns: Tensor) -> Tensor:
        """(n, c) sums over coordinates of ``values`` (n, v, modulus), one for each coset."""
        axes = torch.arange(self.dim, device=values.device)
        return values[:, axes[None, :], patterns].sum(dim=2)

    def contains(self, m: np.ndarray) -> np.ndarray:
        """(n,) bool: which integer coordinates ``m`` (n, v) are points of the lattice."""
        return self.coset_index[(m % self.modulus) @ self.radix] >= 0


def nearest_in_coset(scaled: Tensor, coset: tuple[int, ...], modulus: int) -> Tensor:
    """Nearest m with m = coset (mod modulus), in the dtype of ``scaled`` = x / units, (n, v)."""
    if modulus == 1:
        return torch.round(scaled)
    shift = torch.tensor(coset, dtype=scaled.dtype, device=scaled.device)
    return torch.round((scaled - shift) / modulus) * modulus + shift


def _squared_distance(scaled: Tensor, m: Tensor, units: Tensor) -> Tensor:
    return ((scaled - m) * units).square().sum(dim=1)


class CheckerboardLattice(Lattice):
    """D_n and unions of its cosets: points of Z^n (plus a shift) whose coordinates sum to even."""

    def nearest(self, x: Tensor) -> Tensor:
        """See :meth:`Lattice.nearest`; Conway & Sloane 1982, algorithm for D_n and for E8."""
        half = self.modulus // 2  # m counts in units of 1/half of the integer grid
        scaled = x / torch.tensor(self.units, dtype=x.dtype, device=x.device) / half
        best = nearest_even_sum(scaled)
        if half == 2:  # E8 = D8 and D8 + 1/2
            shifted = nearest_even_sum(scaled - 0.5) + 0.5
            nearer = (scaled - shifted).square().sum(1) < (scaled - best).square().sum(1)
            best = torch.where(nearer[:, None], shifted, best)
        return torch.round(best * half).to(torch.int64)

    # A residue is half * b + o: o the same for all coordinates, the sum of the b even.

    def cheapest(self, cost: Tensor) -> Tensor:
        """See :meth:`Lattice.cheapest`: where the parity is odd, flip what costs least to flip."""
        zero, one = cost.reshape(len(cost), self.dim, 2, self.modulus // 2).unbind(dim=2)
        low, b, flip = torch.minimum(zero, one), (one < zero).long(), (one - zero).abs()
        least, where = flip.min(dim=1)  # (n, half)
        odd = b.sum(dim=1) % 2
        o = (low.sum(dim=1) + odd * least).argmin(dim=1)  # (n,)
        rows = torch.arange(len(cost), device=cost.device)
        b[rows, where[rows, o], o] ^= odd[rows, o]
        return b[rows, :, o] * (self.modulus // 2) + o[:, None]

    def residue_marginals(self, log_weight: Tensor) -> Tensor:
        """See :meth:`Lattice.residue_marginals`: sums over all b with an even sum, by parity.

        In logarithms: where the likeliest b have an odd sum, only what is unlikely is left.
        """
        half = self.modulus // 2
        w = log_weight.permute(1, 2, 0).reshape(self.dim, 2, half, len(log_weight))
        before = _by_parity(w)  # (v, 2, half, n) of the coordinates before each
        after = _by_parity(w.flip(0)).flip(0)
        even = _log_of_sum(*(before + after).unbind(dim=1))  # sum of all others' b
        odd = _log_of_sum(*(before + after.flip(1)).unbind(dim=1))
        joint = w + torch.stack([even, odd], dim=1)  # of b_j and o, all others summed over
        p = torch.softmax(joint.reshape(self.dim, self.modulus, len(log_weight)), dim=1)
        return p.permute(2, 0, 1)


def _by_parity(w: Tensor) -> Tensor:
    """(v, 2, ...): log weight of an even and an odd sum of the b before each coordinate."""
    even = torch.zeros_like(w[0, 0])
    odd = torch.full_like(even, -1e30)
    sums = []
    for coordinate in w:
        sums.append(torch.stack([even, odd]))
        zero, one = coordinate
        even, odd = (
            _log_of_sum(even + zero, odd + one),
            _log_of_sum(even + one, odd + zero),
        )
    return torch.stack(sums)


def _log_of_sum(a: Tensor, b: Tensor) -> Tensor:
    """``torch.logaddexp`` but for last digits, in a quarter of the time: ``log1p`` is slow."""
    less = torch.exp((-(a - b).abs()).clamp(min=-80.0))  # of what is less than 1e-38 it is slow
    return torch.maximum(a, b) + torch.log(1 + less)


def nearest_even_sum(x: Tensor) -> Tensor:
    """Nearest point of D_n: round; where the sum is odd, flip the coordinate that lost most."""
    rounded = torch.round(x)
    error = x - rounded
    worst = error.abs().argmax(dim=1, keepdim=True)
    direction = torch.where(error.gather(1, worst) < 0, -1.0, 1.0).to(x.dtype)
    odd = (rounded.sum(dim=1, keepdim=True) % 2).abs()
    return rounded.scatter_add(1, worst, direction * odd)
