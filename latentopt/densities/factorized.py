"""The learned densities of a factorized prior, one per channel."""

from collections.abc import Iterable, Sequence
from functools import cached_property, reduce
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit
from torch import Tensor

from latentopt.densities.base import TAIL, Density, Floats, fingerprint
from latentopt.densities.conditional import ConditionalDensity
from latentopt.densities.rescaled import RescaledDensity

_COUNT = 256  # quantiles that stand for a density


class Bottleneck(Protocol):
    """The parameters of CompressAI's ``EntropyBottleneck``."""

    matrices: Sequence[Tensor]
    biases: Sequence[Tensor]
    factors: Sequence[Tensor]
    quantiles: Tensor


class FactorizedDensity(Density):
    """The non-parametric densities of a CompressAI ``EntropyBottleneck``, one per channel.

    Cumulative: sigmoid of a small monotone network (Ballé et al. 2018, appendix 6.1), evaluated
    here in float64. The residual is taken from the channel's median.
    """

    lift = 1 + 2.0**-46

    def __init__(self, bottleneck: Bottleneck):
        def arrays(tensors: Iterable[Tensor]) -> list[Floats]:
            return [p.detach().double().cpu().numpy() for p in tensors]

        raw = [arrays(p) for p in (bottleneck.matrices, bottleneck.biases, bottleneck.factors)]
        self._matrices = [np.logaddexp(0, m) for m in raw[0]]  # softplus
        self._biases = raw[1]
        self._factors = [np.tanh(f) for f in raw[2]]
        self.medians = arrays([bottleneck.quantiles])[0][:, 0, 1]
        parameters = [*raw[0], *raw[1], *raw[2], self.medians]
        self._fingerprint = fingerprint(b"factorized", *(p.astype("<f4") for p in parameters))
        self.levels = len(self.medians)
        tails = self.quantiles([TAIL, 0.00135, 0.99865, 1 - TAIL])  # (levels, 4)
        self._spreads = (tails[:, 2] - tails[:, 1]) / 6  # three sigmas of a Gaussian on each side
        self._supports = tails[:, [0, 3]]
        self._hermite = np.polynomial.hermite_e.hermegauss(15)

    @property
    def stretchable(self) -> Density:
        """See :class:`RescaledDensity`: a factorized prior has no table of scales."""
        return RescaledDensity(self)

    @property
    def conditional(self) -> Density:
        return ConditionalDensity(self)

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def _logits(self, levels: slice, t: Floats) -> Floats:
        """Logits (c, n) of the cumulatives of c levels at residuals ``t`` (c, n)."""
        return self._forward(levels, t, with_slope=False)[0]

    def _forward(self, levels: slice, t: Floats, with_slope: bool = True) -> tuple[Floats, Floats]:
        """Logits (c, n), and their derivative by ``t``.

        NumPy, not torch: the arrays are small, and many threads on small arrays wait more than
        they work.
        """
        x = t[:, None, :] + self.medians[levels, None, None]
        slope = np.ones_like(x)
        for i, matrix in enumerate(self._matrices):
            x = _product(matrix[levels], x) + self._biases[i][levels]
            slope = _product(matrix[levels], slope) if with_slope else slope
            if i < len(self._factors):
                factor, tanh = self._factors[i][levels], np.tanh(x)
                x = x + factor * tanh
                slope = slope * (1 + factor * (1 - np.square(tanh))) if with_slope else slope
        return x[:, 0, :], slope[:, 0, :]

    def pdf(self, level: int, t: Floats) -> Floats:
        x, slope = self._forward(slice(level, level + 1), np.reshape(t, (1, -1)))
        return (expit(x) * expit(-x) * slope).reshape(np.shape(t))

    def cdf(self, level: int, t: Floats) -> Floats:
        x = self._logits(slice(level, level + 1), np.reshape(t, (1, -1)))
        return expit(x).reshape(np.shape(t))

    def smoothed(self, level: int, t: Floats, variance: float) -> Floats:
        nodes, weights = self._hermite
        shifted = np.asarray(t)[..., None] - np.sqrt(variance) * nodes
        weighted = self.pdf(level, shifted) * (weights / weights.sum())
        return np.add.reduce(np.moveaxis(weighted, -1, 0))  # from the first on, not as BLAS does

    def spread(self, level: int) -> float:
        return float(self._spreads[level])

    def support(self, level: int) -> tuple[float, float]:
        low, high = self._supports[level]
        return float(low), float(high)

    def rescaled(self, levels: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray:
        return levels

    def quantiles(self, q: list[float]) -> Floats:
        """Residuals (levels, len(q)) at the cumulative probabilities ``q``, by bisection."""
        target = logit(np.array(q))
        low = np.full((self.levels, len(q)), -1e5)
        high = -low
        for _ in range(60):
            middle = (low + high) / 2
            below = self._logits(slice(None), middle) < target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    @cached_property
    def absent(self) -> Floats:
        """See :attr:`Density.absent`: medians are not means."""
        mean: Floats = self.quantiles(list((np.arange(_COUNT) + 0.5) / _COUNT)).mean(axis=1)
        return mean

    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        """Random residuals (n,), one of each level."""
        table = self.quantiles(list((np.arange(_COUNT) + 0.5) / _COUNT))
        return table[levels, rng.integers(0, _COUNT, len(levels))]

    def score(self, levels: NDArray[np.integer], t: Floats) -> Floats:
        """-d/dt log p, by central differences of log p on the distinct residuals of the image."""
        reach = 256.0  # beyond it the slope of the tail no longer changes
        values, inverse = np.unique(np.clip(t, -reach, reach), return_inverse=True)
        step = 1e-4
        log_p = []
        for shifted in (values - step, values + step):
            x, slope = self._forward(slice(None), np.tile(shifted, (self.levels, 1)))
            log_p.append(log_expit(x) + log_expit(-x) + np.log(slope))
        table = (log_p[0] - log_p[1]) / (2 * step)
        return table[levels[:, None], inverse.reshape(t.shape)]


def _product(matrix: Floats, x: Floats) -> Floats:
    """The matrix product (c, m, n) of (c, m, k) and (c, k, n), its terms added from the first on.

    Not BLAS: each of its kernels has an order of its own, and tables follow from this.
    """
    terms = (matrix[:, :, k, None] * x[:, None, k] for k in range(matrix.shape[2]))
    return reduce(np.add, terms)
