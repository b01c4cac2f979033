"""Learning rates over time: functions of the step."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class WarmCosine:
    """Linear warm-up, then half a cosine down to a hundredth.

    >>> rate = WarmCosine(1e-3, warmup=10, steps=100)
    >>> [f"{rate(step):.1e}" for step in (0, 9, 50, 100)]
    ['1.0e-04', '9.8e-04', '5.1e-04', '1.0e-05']
    """

    peak: float
    warmup: int
    """Steps."""
    steps: int
    """In all; at the last the rate is a hundredth of the peak."""

    def __call__(self, step: int) -> float:
        warm = min(1.0, (step + 1) / self.warmup)
        left = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.peak * warm * (0.01 + 0.99 * left)
