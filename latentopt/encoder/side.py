"""The side latent's shift: what it does to the rate of the main latent."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from latentopt.adapters import Adapter, Conditioned
from latentopt.densities import ScaleDensity
from latentopt.latents import Crossed

_EVERY = 13  # of the elements, one in so many is enough to compare rates; prime to the row lengths


class SideProblem:
    """Choose a step so that the entropy parameters from z_hat + rho * direction code y cheaply.

    Args:
        above, grid: see :meth:`Adapter.walk`, of the side latent.
        side: the side latent, in whose walk the step is.
        direction: name of the one along which it goes.
        y: (n,) the main latent.
    """

    def __init__(
        self,
        adapter: Adapter,
        above: Sequence[NDArray],
        grid: tuple[int, int],
        side: Crossed,
        direction: str,
        y: NDArray[np.floating],
    ):
        self._adapter, self._side, self._name = adapter, side, direction
        self._above, self._y = above, y
        self._grid = grid
        self._known: dict[float, Conditioned] = {}

    @cached_property
    def _direction(self) -> NDArray[np.float64]:
        return self._side.directions(self._name)[0]

    def _shifted(self, rho: float) -> NDArray[np.floating]:
        return self._side.hat + rho * self._direction if rho else self._side.hat

    def walk(self, rho: float) -> Conditioned:
        """What the decoder will go through; one hyper-synthesis, remembered."""
        if rho not in self._known:
            walk = self._adapter.walk([*self._above, self._shifted(rho)], self._grid)
            self._known[rho] = cast(Conditioned, walk)  # as is each below a side latent
        return self._known[rho]

    def bits(self, rho: float) -> float:
        """Rate of a sample of the main latent's elements, rounded to integers, after a shift."""
        return self._cost(self._sampled(self.walk(rho)))

    def linearised_bits(self, probe: float) -> Callable[[float], float]:
        """A cheap stand-in for :meth:`bits`: parameters on the secant through 0 and ``probe``."""
        there = cast(
            Conditioned, self._adapter.draft([*self._above, self._shifted(probe)], self._grid)
        )
        here, far = self._sampled(self.walk(0.0)), self._sampled(there)

        def along(rho: float) -> float:
            t = rho / probe if probe else 0.0
            return self._cost([a + t * (b - a) for a, b in zip(here, far)])

        return along

    def _sampled(self, walk: Conditioned) -> list[NDArray[np.floating]]:
        """Values, scales and means of a sample of elements, and steps where the codec has them."""
        y = self._adapter.target(self._y.reshape(walk.shape), walk).ravel()
        found = walk.parameters(y)
        arrays = (y, found.scales, found.means, found.steps)
        return [_sample(array) for array in arrays if array is not None]

    def _cost(self, parameters: Sequence[NDArray[np.floating]]) -> float:
        """Bits of the sample, given what :meth:`_sampled` returns."""
        density = cast(ScaleDensity, self._adapter.densities[0])
        y, scales, means, *steps = parameters
        residual = (y - means) / (steps[0] if steps else 1)
        return density.integer_bits(np.maximum(scales, density.scales[0]), residual)

    @cached_property
    def scale(self) -> float:
        """The step that moves the side latent by a root mean square of 1."""
        rms = float(np.sqrt(np.square(self._direction).mean()))
        return 1 / rms if rms > 0 else 0.0


def _sample(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return values.reshape(-1)[::_EVERY]
