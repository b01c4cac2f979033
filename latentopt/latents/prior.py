"""Entropy parameters: what both sides know of a latent's elements before they cross."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Density, FactorizedDensity


@dataclass(frozen=True)
class Prior:
    """The entropy parameters of one latent of one image, flattened in (channel, row, column)."""

    shape: tuple[int, ...]  # (M, h, w)
    levels: NDArray[np.int16]  # (n,) which of the density's levels each element follows
    centres: NDArray[np.floating]  # (n,) mean or median, what the residual is taken from
    steps: NDArray[np.floating] | None = None
    """(n,) latent units per unit of the residual, positive; None: 1 for all."""

    @staticmethod
    def of_channels(density: FactorizedDensity, shape: tuple[int, ...], first: int = 0) -> "Prior":
        """Of a latent (M, h, w) that a factorized prior describes: the level is the channel.

        Args:
            first: level of channel 0.
        """
        plane = int(np.prod(shape[1:]))
        own = np.arange(first, first + shape[0], dtype=np.int16)
        return Prior(shape, np.repeat(own, plane), np.repeat(density.medians[own], plane))

    def residual(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """What crosses, (n,), for a latent ``values`` (n,)."""
        residual = values - self.centres
        return residual if self.steps is None else residual / self.steps

    def values(self, residual: NDArray[np.floating]) -> NDArray[np.floating]:
        """The latent (n,) of a residual that has crossed: the inverse of :meth:`residual`."""
        return self.scaled(residual) + self.centres

    def scaled(self, residual: NDArray[np.floating], power: int = 1) -> NDArray[np.floating]:
        """What (..., n) a change of the residual is in latent units; with 2, its square.

        A squared error in latent units, too, is worth so much more in the residual's.
        """
        return residual if self.steps is None else residual * self.steps**power

    def unscaled(self, spreads: NDArray[np.floating]) -> NDArray[np.floating]:
        """Differences (n,) of the latent in units of the residual."""
        return spreads if self.steps is None else spreads / self.steps

    def at(self, index: NDArray[np.int64]) -> "Prior":
        """Of the elements at places ``index`` (k,), as a latent (k,)."""
        steps = None if self.steps is None else self.steps[index]
        return Prior((len(index),), self.levels[index], self.centres[index], steps)

    def corrected(self, density: Density, corrections: NDArray[np.int32]) -> "Prior":
        """With each channel's scales corrected by so many levels (M,)."""
        wider = np.repeat(corrections, len(self.levels) // self.shape[0])
        levels = density.rescaled(self.levels, wider).astype(np.int16)
        return replace(self, levels=levels)


class Ledger:
    """Notes the entropy parameters of a latent's groups, in whatever order they come."""

    def __init__(self, shape: tuple[int, ...]):
        self._shape = shape
        self._seen: list[tuple[NDArray[np.int64], Prior]] = []

    def note(self, index: NDArray[np.int64], prior: Prior) -> None:
        """The elements at places ``index`` (k,) have these entropy parameters."""
        self._seen.append((index, prior))

    @property
    def prior(self) -> Prior:
        """Of the whole latent, once each of its elements has been noted."""
        n, first = int(np.prod(self._shape)), self._seen[0][1]
        levels, centres = np.empty(n, np.int16), np.empty(n, first.centres.dtype)
        steps = None if first.steps is None else np.ones(n, first.steps.dtype)
        for index, prior in self._seen:
            levels[index], centres[index] = prior.levels, prior.centres
            if steps is not None:
                steps[index] = prior.steps
        return Prior(self._shape, levels, centres, steps)
