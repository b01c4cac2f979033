"""Dials: what moves the rate of a codec at one quality, by the encoder's choice alone.

A position is counted in octaves of the rate, roughly: 0 is the codec as it is, -1 half its bytes.
The step is the better dial (docs/guide/targets.md has figures): the search's lambda goes along with
its square, so that each point is one at which rate and distortion are traded as in training. Lambda
alone is for codecs that have no step, and where the step must stay.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from torch import nn

from latentopt.adapters import has_steps, with_step
from latentopt.codec.formats import OWN
from latentopt.codec.image import Codec
from latentopt.codec.recipe import Recipe
from latentopt.codec.wrap import wrap_image

_GRID = 1024  # steps are multiples of 1 / _GRID: half precision has those below 2 exactly
_PER_STEP = -0.9  # octaves of the rate for an octave of the step
_PER_LAMBDA = 0.2
_STEPS = (2.0, 0.5)
_LAMBDAS = (1 / 8, 1.4)  # times the codec's own: above, the rate rises and the PSNR does not


@dataclass(frozen=True)
class Range:
    """Positions from ``low`` to ``high``."""

    low: float
    high: float

    def __contains__(self, position: float) -> bool:
        return self.low <= position <= self.high

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def clip(self, position: float) -> float:
        """The position of the range that is nearest."""
        return min(max(position, self.low), self.high)


class Searching(Protocol):
    """What a dial of lambda asks of a codec, of images or of clips."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def lmbda(self) -> float: ...

    def with_lmbda(self, lmbda: float) -> Self: ...


C = TypeVar("C", bound=Searching)
C_co = TypeVar("C_co", covariant=True)


class Dial(Protocol[C_co]):
    """One codec at any of a range of rates."""

    reach: Range
    """Where it can be set."""
    best: Range
    """Where it loses little against another quality, as far as there is one."""

    def snap(self, position: float) -> float:
        """The nearest position at which it can be set."""

    def codec(self, position: float) -> C_co:
        """The codec at a position that :meth:`snap` gave."""

    def step(self, position: float) -> float:
        """What its quantization step is multiplied by there."""


class StepDial:
    """Moves the step of a model, and lambda with it."""

    reach = Range(_PER_STEP * math.log2(_STEPS[0]), _PER_STEP * math.log2(_STEPS[1]))
    best = Range(-0.45, 0.25)

    def __init__(self, model: nn.Module, codec: Codec, recipe: Recipe):
        self._model, self._own, self._recipe = model, codec, recipe

    def snap(self, position: float) -> float:
        return _PER_STEP * math.log2(self.step(position))

    def step(self, position: float) -> float:
        return round(2 ** (position / _PER_STEP) * _GRID) / _GRID

    def codec(self, position: float) -> Codec:
        step = self.step(position)
        if step == 1:
            return self._own
        return wrap_image(with_step(self._model, step), self._at(step))

    def _at(self, step: float) -> Recipe:
        """The recipe, its lambda moved as `with_step` moves a model's, where it has one."""
        lmbda = self._recipe.lmbda
        return self._recipe if lmbda is None else self._recipe.but(lmbda=lmbda / step**2)


class LambdaDial(Generic[C]):
    """Moves the lambda of a search; one that does not search is fixed."""

    best = Range(-0.5, 0.1)

    def __init__(self, codec: C):
        self._own = codec
        low, high = (_PER_LAMBDA * math.log2(factor) for factor in _LAMBDAS)
        self.reach = Range(low, high) if codec.recipe.effort else Range(0.0, 0.0)

    def snap(self, position: float) -> float:
        return self.reach.clip(position)

    def step(self, position: float) -> float:
        return 1.0

    def codec(self, position: float) -> C:
        if position == 0:
            return self._own
        lmbda = self._own.lmbda * 2 ** (position / _PER_LAMBDA)
        return self._own.with_lmbda(float(f"{lmbda:.4g}"))  # so that it can be typed


MakeDial = Callable[[nn.Module, Codec, Recipe], Dial[Codec]]
"""A model's dial, given the codec that it is wrapped to, and with what recipe."""


def best_dial(model: nn.Module, codec: Codec, recipe: Recipe) -> Dial[Codec]:
    """The step where the model has one and the file can say it, else lambda."""
    steps = recipe.format == OWN and has_steps(model)
    return StepDial(model, codec, recipe) if steps else LambdaDial(codec)


def lambda_dial(model: nn.Module, codec: Codec, recipe: Recipe) -> Dial[Codec]:
    """Lambda, whatever the model has: the files decode with the codec as it is."""
    return LambdaDial(codec)
