"""Gains at one quality: against the tangent of a baseline's curve at its own rate point.

Unlike Bjøntegaard's integrals these exist at every rate point, the first and the last included.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from tables.common.experiment import attempt
from tables.common.harness import db_per_doubling


@dataclass(frozen=True)
class Tangent:
    """A rate point of the baseline, and what doubling its rate there would gain.

    >>> gain = Tangent(bpp=0.2, quality_db=31.0, db_per_doubling=3.0)
    >>> f"{gain.rate_percent(0.2, 31.3):.2f} %, {gain.quality(0.1, 31.0):+.1f} dB"
    '-6.70 %, +3.0 dB'
    """

    bpp: float
    quality_db: float
    db_per_doubling: float

    def rate_percent(self, bpp: float, quality_db: float) -> float:
        """Rate of another point at equal quality, in percent; negative: less."""
        doublings = math.log2(bpp / self.bpp)
        doublings -= (quality_db - self.quality_db) / self.db_per_doubling
        return 100 * (2**doublings - 1)

    def quality(self, bpp: float, quality_db: float) -> float:
        """Quality of another point at equal rate, in dB; positive: better."""
        paid = self.db_per_doubling * math.log2(bpp / self.bpp)
        return quality_db - self.quality_db - paid


def tangents(curve: pd.DataFrame, bpp: str, quality: str) -> Iterator[Tangent]:
    """One for each row of a curve, NaN where its quality does not rise with its rate."""
    rates, qualities = curve[bpp].to_numpy(), curve[quality].to_numpy()
    for rate, value in zip(rates, qualities):
        slope, _ = attempt(lambda: db_per_doubling(value, rates, qualities))  # noqa: B023
        yield Tangent(float(rate), float(value), slope)
