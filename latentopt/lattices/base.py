"""A lattice as data: axis units, a modulus and cosets; the nearest point follows from them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


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

    >>> from latentopt.lattices import get
    >>> oct_ = get("oct")
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
    """Standard deviation below which the product form is not accurate enough (see docs/pmf.md)."""

    @property
    def dim(self) -> int:
        """Dimension v of a vector."""
        return len(self.units)

    @cached_property
    def axis_class(self) -> tuple[int, ...]:
        """For each axis, the index of its unit among the distinct units."""
        return tuple(self.distinct_units.index(u) for u in self.units)

    @cached_property
    def distinct_units(self) -> tuple[float, ...]:
        return tuple(dict.fromkeys(self.units))

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


def nearest_even_sum(x: Tensor) -> Tensor:
    """Nearest point of D_n: round; where the sum is odd, flip the coordinate that lost most."""
    rounded = torch.round(x)
    error = x - rounded
    worst = error.abs().argmax(dim=1, keepdim=True)
    direction = torch.where(error.gather(1, worst) < 0, -1.0, 1.0).to(x.dtype)
    odd = (rounded.sum(dim=1, keepdim=True) % 2).abs()
    return rounded.scatter_add(1, worst, direction * odd)
