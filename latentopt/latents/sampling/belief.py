"""What both sides believe of a latent's samples before they cross: per level, and nothing else."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latentopt.densities import BelievedDensity, Density, Floats
from latentopt.latents.sampling.posterior import Normals, Posterior
from latentopt.latents.sampling.staircase import Levels, Steps

_FINEST, _FINER = 64.0, 1024.0
_LESS = 1.3  # what elements of tiny-pln have, to a third


@dataclass(frozen=True)
class Belief:
    """Of the samples of one density."""

    density: Density
    noise: float
    """Standard deviation of what the prior has besides the density."""
    posteriors: Floats  # (levels,) what a posterior's spread is, or is expected to be

    @staticmethod
    def of(density: Density, spread: float) -> "Belief":
        """Of posteriors that are ``spread`` wide; or, of a codec that is trained for samples,
        so many times as wide as the codec's own."""
        if isinstance(density, BelievedDensity):
            return Belief(density, 0.0, spread * density.posteriors)
        return Belief(density, spread, np.full(density.levels, float(spread)))

    @cached_property
    def bare(self) -> Steps:
        """The density itself."""
        return Steps(self.density, 0.0)

    @cached_property
    def steps(self) -> Steps:
        """The prior."""
        return Steps(self.density, self.noise) if self.noise else self.bare

    def posterior(self, levels: Levels, target: Normals) -> Posterior:
        """What is sent of elements of these levels (n,), against it."""
        return Posterior(self.steps, levels, target.mean, target.spread)

    @cached_property
    def information(self) -> Floats:
        """(levels,) bits that an element is expected to have.

        Were all Gaussian, it were those of a Gaussian channel. Codecs that are trained for samples
        leave alone what is not worth its bits: of little there is less still.
        """
        if self.noise:
            bits = 0.5 * np.log2(1 + np.square(self.density.spreads / self.posteriors))
            return np.maximum(np.ceil(bits * _FINEST), 1) / _FINEST
        bits = 0.5 * np.log2(1 + np.square(self.density.spreads))
        bits = np.minimum(bits, _LESS * np.square(bits))
        return np.maximum(np.ceil(bits * _FINER), 1) / _FINER

    @property
    def priors(self) -> Floats:
        """(levels,) the prior's standard deviation, or a robust stand-in for it."""
        return np.hypot(self.density.spreads, self.noise)
