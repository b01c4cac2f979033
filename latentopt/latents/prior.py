"""Entropy parameters: what is known of a latent's elements before they cross."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Density


@dataclass(frozen=True)
class Prior:
    """The entropy parameters of one latent of one image, flattened in (channel, row, column)."""

    shape: tuple[int, ...]  # (M, h, w)
    levels: NDArray[np.int16]  # (n,) which table codes each element
    centres: NDArray[np.floating]  # (n,) mean or median, what the residual is taken from
    steps: NDArray[np.floating] | None = None
    """(n,) latent units per unit of the lattice, positive; None: 1 for all."""

    def residual(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """What goes on the lattice, (n,), for a latent ``values`` (n,)."""
        residual = values - self.centres
        return residual if self.steps is None else residual / self.steps

    def values(self, residual: NDArray[np.floating]) -> NDArray[np.floating]:
        """The latent (n,) of a residual on the lattice: the inverse of :meth:`residual`."""
        return self.scaled(residual) + self.centres

    def scaled(self, residual: NDArray[np.floating], power: int = 1) -> NDArray[np.floating]:
        """What (..., n) a change of the residual is in latent units; with 2, its square.

        A squared error in latent units, too, is worth so much more on the lattice.
        """
        return residual if self.steps is None else residual * self.steps**power

    def corrected(self, density: Density, corrections: NDArray[np.int32]) -> "Prior":
        """With each channel's scales corrected by so many levels (M,)."""
        steps = np.repeat(corrections, len(self.levels) // self.shape[0])
        levels = density.rescaled(self.levels, steps).astype(np.int16)
        return replace(self, levels=levels)
