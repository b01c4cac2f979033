"""Exact probability of Voronoi cells: P(c) = integral over the cell of the product of densities."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchquad import GaussLegendre

from latentopt.densities import Density, Floats
from latentopt.lattices import Lattice, OuterPiece

NODES_PER_AXIS = 32
"""Gauss-Legendre nodes per outer coordinate and piece; 1e-13 at the smallest scale, 0.11."""

_CHUNK = 1 << 22  # values of the integrand held at once


def cell_probabilities(
    density: Density,
    level: int,
    lattice: Lattice,
    m: NDArray[np.int64],
    nodes: int = NODES_PER_AXIS,
) -> Floats:
    """Exact probabilities (n,) of the cells of the points ``m`` (n, v) at one level.

    The innermost coordinate is integrated in closed form (the density's own CDF), the outer ones by
    torchquad's Gauss-Legendre on each smooth piece of the cell. Absolute error below 1e-10.
    """
    if lattice.dim == 1:
        t = m[:, 0] * lattice.units[0]
        half = lattice.pieces[0].half_width[0]
        return density.cdf(level, t + half) - density.cdf(level, t - half)
    total = np.zeros(len(m))
    for piece in lattice.pieces:
        integrand = _PieceIntegrand(density, level, lattice, piece)
        chunk = max(1, _CHUNK // nodes ** (lattice.dim - 1))
        for start in range(0, len(m), chunk):
            part = m[start : start + chunk]
            total[start : start + chunk] += _integrate(integrand, part, nodes, lattice.dim - 1)
    return total


def _integrate(
    integrand: "_PieceIntegrand", m: NDArray[np.int64], nodes: int, outer_dim: int
) -> Floats:
    domain = torch.tensor([[0.0, 1.0]] * outer_dim, dtype=torch.float64)
    value = _Quadrature().integrate(
        lambda cube: integrand(cube, m),
        dim=outer_dim,
        N=nodes**outer_dim,
        integration_domain=domain,
    )
    return value.numpy()


class _Quadrature(GaussLegendre):
    """Gauss-Legendre whose weights come without a warning about how tensors are copied.

    To have it ignored is a setting of the process, which threads would take from each other.
    """

    def _weights(self, N: int, dim: int, backend: str, requires_grad: bool = False) -> Tensor:
        of_axis = torch.from_numpy(self._cached_points_and_weights(N)[1])
        return torch.stack(torch.meshgrid([of_axis] * dim, indexing="ij")).prod(dim=0).ravel()


class _PieceIntegrand:
    """The integrand of one piece, pulled back to the unit cube, for many cells at once.

    The cells are translates of each other, so each density is evaluated once per distinct
    coordinate and node, and the cells only gather and multiply: all the cost that grows with the
    number of cells is three multiplications.
    """

    def __init__(self, density: Density, level: int, lattice: Lattice, piece: OuterPiece):
        self.density, self.level, self.lattice, self.piece = density, level, lattice, piece

    def __call__(self, cube: Tensor, m: NDArray[np.int64]) -> Tensor:
        """``cube`` (N, v-1) in [0, 1], ``m`` (n, v): values (N, n)."""
        outer, jacobian = _from_cube(self.piece, cube.numpy())  # (N, v-1), (N,)
        values = jacobian[:, None]
        for axis in range(outer.shape[1]):
            pairs = self._per_coordinate(m[:, axis], axis, outer[:, axis], self._both_sides)
            values = values * pairs
        slopes = np.array(self.piece.half_width[1:])
        half = self.piece.half_width[0] + outer @ slopes  # (N,)
        inner = self._per_coordinate(m[:, -1], self.lattice.dim - 1, half, self._slab)
        return torch.from_numpy(values * inner)

    def _per_coordinate(
        self,
        m: NDArray[np.int64],
        axis: int,
        u: Floats,
        function: Callable[[Floats, Floats], Floats],
    ) -> Floats:
        """(N, n) values of ``function`` at coordinates (n,), in latent units, and nodes (N,)."""
        distinct, inverse = np.unique(m, return_inverse=True)
        t = distinct * self.lattice.units[axis]
        return function(t[None, :], u[:, None])[:, inverse.reshape(-1)]

    def _both_sides(self, t: Floats, u: Floats) -> Floats:
        """The piece lies in the positive orthant; its mirror images are added here."""
        return self.density.pdf(self.level, t + u) + self.density.pdf(self.level, t - u)

    def _slab(self, t: Floats, half: Floats) -> Floats:
        return self.density.cdf(self.level, t + half) - self.density.cdf(self.level, t - half)


def _from_cube(piece: OuterPiece, cube: Floats) -> tuple[Floats, Floats]:
    """Map unit-cube nodes (N, v-1) into the piece; the points and the map's Jacobian (N,)."""
    low, high = piece.corners[0]
    first = low + (high - low) * cube[:, 0]
    jacobian = np.full(len(cube), high - low)
    if cube.shape[1] == 1:
        return first[:, None], jacobian
    bottom, top = (_linear(ends, cube[:, 0]) for ends in piece.corners[1:])
    second = bottom + (top - bottom) * cube[:, 1]
    return np.stack([first, second], axis=1), jacobian * (top - bottom)


def _linear(ends: Sequence[float], t: Floats) -> Floats:
    return ends[0] + (ends[1] - ends[0]) * t
