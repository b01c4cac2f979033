"""Where a decoder puts a latent, given the dithered point that arrived."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Density, Floats
from latentopt.latents.dither.soft import soft_places
from latentopt.latents.lattice.packing import Part
from latentopt.latents.lattice.placed import spacing
from latentopt.lattices import LATTICES, Lattice

_NODES = 32  # of the integral over a cell of integers
_CHUNK = 1 << 12  # points whose integrals are taken at once
_DIGITS = 2.0**8
"""Means are multiples of 1/256, which every machine computes alike."""


@dataclass(frozen=True)
class Reconstruction:
    """At the point itself, at r_alpha of it, or at the mean of what may have been sent.

    Args:
        density: of the residual, per level.
        alpha: of the soft rounding before the dither; 0: none. For integers.
        mean: whether to take E[y | z] for a point z. Of integers y is in the cell of z (before soft
            rounding), where the density says how likely; of vectors noise counts as Gaussian, on
            each axis by itself, as it does in their tables.
    """

    density: Density
    alpha: float = 0.0
    mean: bool = False

    def __call__(self, part: Part, i: NDArray[np.int64]) -> Floats:
        """(n, v) residuals of the vectors of a part whose points are ``i`` (n, v), in spacings."""
        scalar = part.lattice.dim == 1
        points = soft_places(i, self.alpha) if scalar else i * spacing(part.lattice)
        if self.mean:
            for level, start, stop in part.runs:
                points[start:stop] = self._means(part.lattice, level, points[start:stop])
        return points

    def _means(self, lattice: Lattice, level: int, points: Floats) -> Floats:
        distinct, inverse = np.unique(points, return_inverse=True)
        chunks = np.split(distinct, np.arange(_CHUNK, len(distinct), _CHUNK))
        means = np.concatenate([self._integrated(lattice, level, z) for z in chunks])
        return (means * _DIGITS).round()[inverse].reshape(points.shape) / _DIGITS

    def _integrated(self, lattice: Lattice, level: int, z: Floats) -> Floats:
        """E[y | z], (n,); z itself where the density has no digits left."""
        noise, weights = _noise(lattice.name)
        y = z[:, None] - noise
        p = self.density.pdf(level, y) * weights
        total = p.sum(axis=1)
        return np.where(total > 1e-200, (y * p).sum(axis=1) / np.maximum(total, 1e-200), z)


@cache
def _noise(name: str) -> tuple[Floats, Floats]:
    """Nodes and weights of integrals over the noise of a lattice, on one axis."""
    lattice = LATTICES[name]
    if lattice.dim == 1:
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        return nodes / 2, weights
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    return nodes * np.sqrt(lattice.second_moment), weights
