"""Priors of codecs that are trained for samples, whose posteriors are about as wide as is known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latentopt.densities.base import Floats
from latentopt.densities.scale import GaussianDensity

RATIOS = np.geomspace(0.04, 4096.0, 96)
"""Of a prior's spread to what an encoder commonly leaves open: what levels stand for."""


class BelievedDensity(GaussianDensity):
    """N(0, scale^2), in units of what an encoder commonly leaves open of a latent.

    That is the spread that a posterior would have without its prior, so that ``posteriors`` follow
    from the scales: they are what is expected of posteriors, each of which has a spread of its own.
    """

    kind = "believed gaussian"

    def __init__(self, scales: Floats = RATIOS, tails: Sequence[tuple[float, float]] = ()):
        super().__init__(scales, tails)

    @property
    def posteriors(self) -> Floats:
        """(levels,) the spread that a posterior is expected to have."""
        return self.scales / np.sqrt(1 + np.square(self.scales))

    def divergence(self, levels: NDArray[np.integer], mean: Floats, spread: Floats) -> Floats:
        """(n,) KL[N(mean, spread^2) | prior] in bits, of elements (n,)."""
        ratio, distance = spread / self.scales[levels], mean / self.scales[levels]
        nats: Floats = 0.5 * (np.square(ratio) + np.square(distance) - 1) - np.log(ratio)
        return nats / np.log(2)
