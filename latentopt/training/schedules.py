"""Learning rates over time: functions of the step."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


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
        return self.peak * _rise(step, self.warmup) * _fall(step / self.steps)


@dataclass
class TimedCosine:
    """The same for training that ends by the clock: the cosine takes so many seconds.

    They count from the first step on, so a schedule is for one run, which cannot be repeated.
    """

    peak: float
    warmup: int
    """Steps."""
    seconds: float
    clock: Callable[[], float] = time.monotonic
    _begun: float | None = field(default=None, init=False)

    def __call__(self, step: int) -> float:
        now = self.clock()
        if self._begun is None:
            self._begun = now
        passed = min(1.0, (now - self._begun) / self.seconds)
        return self.peak * _rise(step, self.warmup) * _fall(passed)


def _rise(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / warmup)


def _fall(passed: float) -> float:
    """What is left of the peak, after a part of the time."""
    left = 0.5 * (1 + math.cos(math.pi * passed))
    return 0.01 + 0.99 * left
