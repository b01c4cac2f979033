"""The posteriors of elements, which only the encoder knows, against what both sides believe."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Floats
from latentopt.latents.sampling.staircase import Levels, Steps

_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_LOOK = np.linspace(-8.0, 8.0, 65)  # spreads from the mean where the largest weight is looked for
_CAUTION = 0.05  # nats that it may be larger between them


@dataclass(frozen=True)
class Normals:
    """Gaussians, of which a sample each is to arrive: what is sent of elements."""

    mean: Floats  # (n,)
    spread: Floats  # (n,)

    def at(self, own: NDArray[np.int64]) -> "Normals":
        """Of some elements."""
        return Normals(self.mean[own], self.spread[own])


@dataclass(frozen=True)
class Posterior:
    """N(mean, spread^2) of each element, against the prior of its level."""

    steps: Steps
    levels: Levels  # (n,)
    mean: Floats  # (n,)
    spread: float | Floats  # of all, or (n,)

    def at(self, own: NDArray[np.int64]) -> "Posterior":
        """Of some elements."""
        spread = np.broadcast_to(self.spread, self.mean.shape)[own]
        return Posterior(self.steps, self.levels[own], self.mean[own], spread)

    def log_density(self, x: Floats) -> Floats:
        """log q at ``x`` (..., n), in nats."""
        log_q: Floats = -0.5 * np.square((x - self.mean) / self.spread)
        log_q -= np.log(self.spread * np.sqrt(2 * np.pi))
        return log_q

    def log_weights(self, x: Floats) -> Floats:
        """log q / p at ``x`` (..., n), in nats."""
        return self.log_density(x) - self.steps.log_density(self.levels, x)

    def divergence(self) -> Floats:
        """(n,) KL[q | p] in bits, by quadrature."""
        x = self.mean + self.spread * _NODES[:, None]
        share = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()
        nats: Floats = share @ self.log_weights(x)
        return nats / np.log(2)

    def largest(self) -> Floats:
        """(n,) the largest log q / p, in nats."""
        found = np.full(len(self.mean), -np.inf)
        for look in _LOOK:
            np.maximum(found, self.log_weights(self.mean + look * self.spread), found)
        return found + _CAUTION

    def draw(self, rng: np.random.Generator) -> Floats:
        """(n,) a sample of each, of the encoder's own randomness."""
        sample: Floats = self.mean + self.spread * rng.standard_normal(len(self.mean))
        return sample
