"""The side latent's shift: what it does to the rate of the main latent."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.adapters import SideAdapter
from latentopt.latents.lattice import Latent

_EVERY = 13  # of the elements, one in so many is enough to compare rates; prime to the row lengths


class SideProblem:
    """Choose a step so that the entropy parameters from z_hat + rho * direction code y cheaply."""

    def __init__(self, adapter: SideAdapter, side: Latent, direction: str, y: NDArray[np.floating]):
        self._adapter, self._side, self._name = adapter, side, direction
        self._y = y
        self._known: dict[float, NDArray] = {}

    @cached_property
    def _direction(self) -> NDArray[np.float64]:
        return self._side.directions(self._name)[0]

    def _shifted(self, rho: float) -> NDArray[np.float64]:
        return self._side.hat + rho * self._direction if rho else self._side.hat

    def features(self, rho: float) -> NDArray:
        """What the decoder will compute; one hyper-synthesis, remembered."""
        if rho not in self._known:
            self._known[rho] = self._adapter.features(self._shifted(rho), self._side.prior.shape)
        return self._known[rho]

    def bits(self, rho: float) -> float:
        """Rate of a sample of the main latent's elements, rounded to integers, after a shift."""
        return self._cost(self._sampled(self.features(rho)))

    def linearised_bits(self, probe: float) -> Callable[[float], float]:
        """A cheap stand-in for :meth:`bits`: parameters on the secant through 0 and ``probe``."""
        shape = self._side.prior.shape
        there = self._adapter.features(self._shifted(probe), shape, draft=True)
        here, far = self._sampled(self.features(0.0)), self._sampled(there)

        def along(rho: float) -> float:
            t = rho / probe if probe else 0.0
            return self._cost([a + t * (b - a) for a, b in zip(here, far)])

        return along

    def _sampled(self, features: NDArray) -> list[NDArray[np.floating]]:
        """Scales and means of a sample of the elements, and steps where the codec has them."""
        found = self._adapter.estimate(features, self._y)
        arrays = (found.scales, found.means, found.steps)
        return [_sample(array) for array in arrays if array is not None]

    def _cost(self, parameters: Sequence[NDArray[np.floating]]) -> float:
        """Bits of the sample, given what :meth:`_sampled` returns."""
        density = self._adapter.main_density
        scales, means, *steps = parameters
        residual = (_sample(self._y) - means) / (steps[0] if steps else 1)
        return density.integer_bits(np.maximum(scales, density.scales[0]), residual)

    @cached_property
    def scale(self) -> float:
        """The step that moves the side latent by a root mean square of 1."""
        rms = float(np.sqrt(np.square(self._direction).mean()))
        return 1 / rms if rms > 0 else 0.0


def _sample(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return values.reshape(-1)[::_EVERY]
