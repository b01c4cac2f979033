"""The codec's own densities, one per level, as float64 functions of the residual to the centre.

A *level* is the index that selects a table: of the scale table for a Gaussian conditional, of the
channel for a factorized prior. The *residual* is the latent minus its centre (mean or median).
"""

import hashlib
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TAIL = 2.0**-30
"""Mass left outside a level's support on each side; far below the coder's smallest count, 2^-24."""

RARE = 2.0**-26
"""Probability below which tables escape: a quarter of the coder's smallest count."""


class Density(ABC):
    """Densities p_level(t), t the residual in latent units."""

    levels: int
    lift: float = 1.0
    """Factor of probabilities that are rounded down to counts. Many are 1/2, 1/8 or 1/256, so that
    counts fall on integers but for the last bits of float64: where these depend on the machine,
    a factor just above 1 lifts all of them, and moves nothing else."""

    @property
    def core(self) -> "Density":
        """The codec's density without the tails that latentopt adds to it."""
        return self

    @property
    def stretchable(self) -> "Density":
        """This density, or one that has it at several widths: some that :meth:`rescaled` finds."""
        return self

    @property
    def conditional(self) -> "Density":
        """This density, or one that has it and a table of scales besides: a :attr:`ladder`."""
        return self

    @property
    def ladder(self) -> range:
        """Levels of one shape, ordered by width, among which elements may be moved; none here."""
        return range(0)

    @property
    def parts(self) -> "tuple[Density, ...]":
        """The densities whose levels follow each other in this one."""
        return (self,)

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

    @cached_property
    def spreads(self) -> Floats:
        """(levels,) :meth:`spread` of each level."""
        return np.array([self.spread(level) for level in range(self.levels)])

    @cached_property
    def absent(self) -> Floats:
        """(levels,) what a residual that did not arrive is taken for: its mean."""
        return np.zeros(self.levels)

    @abstractmethod
    def score(self, levels: NDArray[np.integer], t: Floats) -> Floats:
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


def fingerprint(*parts: bytes | NDArray[np.float32]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.tobytes())
    return digest.hexdigest()[:16]
