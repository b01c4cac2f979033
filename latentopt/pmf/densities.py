"""The codec's own densities, one per level, as float64 functions of the residual to the centre.

A *level* is the index that selects a table: of the scale table for a Gaussian conditional, of the
channel for a factorized prior. The *residual* is the latent minus its centre (mean or median).
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_ndtr, logit, ndtr, ndtri
from torch import Tensor

Floats = NDArray[np.float64]

TAIL = 2.0**-30
"""Mass left outside a level's support on each side; far below the coder's smallest count, 2^-24."""

RARE = 2.0**-26
"""Probability below which tables escape: a quarter of the coder's smallest count."""

TAILS = ((0.004, 2.5), (0.0001, 8.0))
"""Contamination of the Gaussians, (weight, ratio of scales): chosen on eight CLIC photographs and
the lab-mean ladder by scripts/fit_tails.py, where it saves 0.3 % of the rate of ``int``."""

LAPLACE_TAILS = ((0.0001, 8.0),)
"""Contamination of the Laplace densities, whose own tails are wide already: for broken models
rather than for the rate, of which it costs 0.00015 bits per element."""

WIDTHS = [2.0 ** (k / 4) for k in (-1, 1, -2, 2, -3, 3, -4, 4)]
"""How densities without a table of scales are stretched where their scales are corrected."""


class Density(ABC):
    """Densities p_level(t), t the residual in latent units."""

    levels: int

    @property
    def core(self) -> "Density":
        """The codec's density without the tails that latentopt adds to it."""
        return self

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hexadecimal hash of the parameters: equal ones belong to equal densities."""

    @abstractmethod
    def pdf(self, level: int, t: Floats) -> Floats:
        """Density at ``t`` (any shape)."""

    @abstractmethod
    def cdf(self, level: int, t: Floats) -> Floats:
        """Cumulative distribution at ``t`` (any shape)."""

    @abstractmethod
    def smoothed(self, level: int, t: Floats, variance: float) -> Floats:
        """Density of the residual plus independent Gaussian noise of that variance, at ``t``."""

    @abstractmethod
    def spread(self, level: int) -> float:
        """Standard deviation, or a robust stand-in for it, in latent units."""

    @abstractmethod
    def score(self, levels: NDArray[np.int64], t: Floats) -> Floats:
        """Gradient of -log p_level at ``t``; ``levels`` (n,) and ``t`` (n, v) give (n, v)."""

    @abstractmethod
    def rescaled(self, levels: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray:
        """The levels whose densities are wider by so many steps (n,), as far as there are such."""

    @abstractmethod
    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        """Random residuals (n,), one of each of the ``levels`` (n,)."""

    @abstractmethod
    def support(self, level: int) -> tuple[float, float]:
        """Interval of residuals that leaves at most ``TAIL`` on each side."""


class ScaleDensity(Density):
    """Zero-mean densities of one shape, one per entry of a table of scales.

    Trained codecs meet residuals that their densities call impossible, and a coder that believes
    it pays 24 bits and more for each (CompressAI's 16-bit tables cap the price at 16). So each
    density is contaminated (Tukey 1960) by wider ones: ``tails`` has (weight, ratio of scales).
    """

    kind: str
    """Name of the shape, for the fingerprint."""
    deviation: float
    """Standard deviation at scale 1."""

    def __init__(self, scales: Floats, tails: Sequence[tuple[float, float]]):
        self.scales = np.asarray(scales, dtype=np.float64)
        self.levels = len(self.scales)
        self._mixture = [(1 - sum(w for w, _ in tails), 1.0), *tails]

    # What a subclass says of its shape, at scale 1 unless there is a scale.

    @abstractmethod
    def _cumulative(self, t: Floats) -> Floats:
        """Cumulative distribution at ``t`` (any shape)."""

    @abstractmethod
    def _smoothed(self, t: Floats, scale: float, variance: float) -> Floats:
        """Density plus independent Gaussian noise of that variance, which may be 0, at ``t``."""

    @abstractmethod
    def _reach(self, tail: float) -> float:
        """Where ``tail``, at most 1/2, of the mass is beyond."""

    @abstractmethod
    def _draw(self, rng: np.random.Generator, size: int) -> Floats:
        """Random numbers (size,)."""

    @property
    def core(self) -> Self:
        return type(self)(self.scales, tails=())

    @property
    def fingerprint(self) -> str:
        # Six digits: CompressAI computes its scale table, whose last bit depends on the machine.
        scales = [f"{scale:.5e}" for scale in self.scales]
        return _fingerprint(f"{self.kind} {scales} {self._mixture}".encode())

    def pdf(self, level: int, t: Floats) -> Floats:
        return self.smoothed(level, t, 0.0)

    def cdf(self, level: int, t: Floats) -> Floats:
        parts = [w * self._cumulative(t / (r * self.scales[level])) for w, r in self._mixture]
        return np.sum(parts, axis=0)

    def smoothed(self, level: int, t: Floats, variance: float) -> Floats:
        scale = self.scales[level]
        return np.sum(
            [w * self._smoothed(t, r * scale, variance) for w, r in self._mixture], axis=0
        )

    def spread(self, level: int) -> float:
        return float(self.deviation * self.scales[level])

    def rescaled(self, levels: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray:
        return np.clip(levels + steps, 0, self.levels - 1)

    def support(self, level: int) -> tuple[float, float]:
        ends = [self._reach(min(TAIL / w, 0.5)) * r for w, r in self._mixture]
        reach = float(max(ends) * self.scales[level])
        return -reach, reach

    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        """Random residuals (n,), one of each level; without the tails."""
        return self.scales[levels] * self._draw(rng, len(levels))

    def integer_bits(self, scales: Floats, residual: Floats) -> float:
        """Total cost of residuals rounded to integers, with a scale for each: a quick estimate."""
        distance = np.abs(np.rint(residual))
        p = np.full(distance.shape, RARE)
        for weight, ratio in self._mixture:
            width = ratio * scales
            ends = [self._cumulative((side - distance) / width) for side in (0.5, -0.5)]
            p += weight * (ends[0] - ends[1])
        return float(-np.log2(p).sum())


class GaussianDensity(ScaleDensity):
    """Gaussians (CompressAI's GaussianConditional)."""

    kind, deviation = "gaussian", 1.0

    def __init__(self, scales: Floats, tails: Sequence[tuple[float, float]] = TAILS):
        super().__init__(scales, tails)

    def _cumulative(self, t: Floats) -> Floats:
        return ndtr(t)

    def _smoothed(self, t: Floats, scale: float, variance: float) -> Floats:
        return _normal_pdf(t, np.sqrt(scale**2 + variance))

    def _reach(self, tail: float) -> float:
        return -ndtri(tail)

    def _draw(self, rng: np.random.Generator, size: int) -> Floats:
        return rng.standard_normal(size)

    def score(self, levels: NDArray[np.int64], t: Floats) -> Floats:
        return t / (self.scales**2)[levels][:, None]  # of the core: the paper's closed form


class LaplaceDensity(ScaleDensity):
    """Laplace densities exp(-|t| / scale) / (2 scale): the DCVC family's video codecs.

    The cusp at 0 is on the edge of the pieces over which cells are integrated, in all lattices:
    no cell but that of a coordinate 0 reaches beyond 0 (tests/test_laplace.py).
    """

    kind, deviation = "laplace", sqrt(2)

    def __init__(self, scales: Floats, tails: Sequence[tuple[float, float]] = LAPLACE_TAILS):
        super().__init__(scales, tails)

    def _cumulative(self, t: Floats) -> Floats:
        below = 0.5 * np.exp(-np.abs(t))
        return np.where(t < 0, below, 1 - below)

    def _smoothed(self, t: Floats, scale: float, variance: float) -> Floats:
        if variance == 0:
            return np.exp(-np.abs(t) / scale) / (2 * scale)
        deviation = np.sqrt(variance)
        sides = [
            np.exp(
                variance / (2 * scale**2) + u / scale + log_ndtr(-u / deviation - deviation / scale)
            )
            for u in (t, -t)
        ]  # noise that ends below 0, and above
        return np.sum(sides, axis=0) / (2 * scale)

    def _reach(self, tail: float) -> float:
        return -np.log(2 * tail)

    def _draw(self, rng: np.random.Generator, size: int) -> Floats:
        return rng.laplace(size=size)

    def score(self, levels: NDArray[np.int64], t: Floats) -> Floats:
        return np.sign(t) / self.scales[levels][:, None]  # of the core, as the Gaussian's


class FactorizedDensity(Density):
    """The non-parametric densities of a CompressAI ``EntropyBottleneck``, one per channel.

    Cumulative: sigmoid of a small monotone network (Ballé et al. 2018, appendix 6.1), evaluated
    here in float64. The residual is taken from the channel's median.
    """

    def __init__(self, bottleneck: Any):
        def arrays(tensors: Iterable[Tensor]) -> list[Floats]:
            return [p.detach().double().cpu().numpy() for p in tensors]

        raw = [arrays(p) for p in (bottleneck.matrices, bottleneck.biases, bottleneck.factors)]
        self._matrices = [np.logaddexp(0, m) for m in raw[0]]  # softplus
        self._biases = raw[1]
        self._factors = [np.tanh(f) for f in raw[2]]
        self.medians = arrays([bottleneck.quantiles])[0][:, 0, 1]
        parameters = [*raw[0], *raw[1], *raw[2], self.medians]
        self._fingerprint = _fingerprint(b"factorized", *(p.astype("<f4") for p in parameters))
        self.levels = len(self.medians)
        tails = self.quantiles([TAIL, 0.00135, 0.99865, 1 - TAIL])  # (levels, 4)
        self._spreads = (tails[:, 2] - tails[:, 1]) / 6  # three sigmas of a Gaussian on each side
        self._supports = tails[:, [0, 3]]
        self._hermite = np.polynomial.hermite_e.hermegauss(15)

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
            x = matrix[levels] @ x + self._biases[i][levels]
            slope = matrix[levels] @ slope if with_slope else slope
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
        return self.pdf(level, shifted) @ (weights / weights.sum())

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

    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        """Random residuals (n,), one of each level."""
        count = 256
        table = self.quantiles(list((np.arange(count) + 0.5) / count))
        return table[levels, rng.integers(0, count, len(levels))]

    def score(self, levels: NDArray[np.int64], t: Floats) -> Floats:
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


class RescaledDensity(Density):
    """Another density at several widths: p(t / s) / s of each of its levels, for each factor s.

    The first levels are those of the density itself, so levels that nobody rescales stay as they
    are; each later factor adds as many again.
    """

    def __init__(self, density: Density, factors: Sequence[float] = WIDTHS):
        self._density, self._factors = density, (1.0, *factors)
        self._by_width = np.argsort(self._factors)
        self.levels = density.levels * len(self._factors)

    def _own(self, level: int) -> tuple[int, float]:
        return level % self._density.levels, self._factors[level // self._density.levels]

    @property
    def fingerprint(self) -> str:
        return _fingerprint(f"rescaled {self._density.fingerprint} {self._factors}".encode())

    def pdf(self, level: int, t: Floats) -> Floats:
        own, s = self._own(level)
        return self._density.pdf(own, t / s) / s

    def cdf(self, level: int, t: Floats) -> Floats:
        own, s = self._own(level)
        return self._density.cdf(own, t / s)

    def smoothed(self, level: int, t: Floats, variance: float) -> Floats:
        own, s = self._own(level)
        return self._density.smoothed(own, np.asarray(t) / s, variance / s**2) / s

    def spread(self, level: int) -> float:
        own, s = self._own(level)
        return s * self._density.spread(own)

    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        own, width = levels % self._density.levels, levels // self._density.levels
        return np.array(self._factors)[width] * self._density.draw(own, rng)

    def score(self, levels: NDArray[np.int64], t: Floats) -> Floats:
        factors = np.array(self._factors)[levels // self._density.levels][:, None]
        return self._density.score(levels % self._density.levels, t / factors) / factors

    def support(self, level: int) -> tuple[float, float]:
        own, s = self._own(level)
        low, high = self._density.support(own)
        return s * low, s * high

    def rescaled(self, levels: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray:
        own, width = levels % self._density.levels, levels // self._density.levels
        rank = np.argsort(self._by_width)[width] + steps
        width = self._by_width[np.clip(rank, 0, len(self._factors) - 1)]
        return own + width * self._density.levels


def _fingerprint(*parts: bytes | NDArray[np.float32]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.tobytes())
    return digest.hexdigest()[:16]


def _normal_pdf(t: Floats, sigma: float) -> Floats:
    return np.exp(-0.5 * np.square(t / sigma)) / (sigma * np.sqrt(2 * np.pi))
