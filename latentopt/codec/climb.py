"""What ladders of images and of clips have in common: their rungs, and the climb to a target."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

from torch import nn

from latentopt.codec.dial import C
from latentopt.codec.formats import OWN
from latentopt.codec.recipe import Recipe, get_preset
from latentopt.codec.rung import Rung
from latentopt.codec.seek import F, Seek
from latentopt.codec.target import Target
from latentopt.errors import InputError, RateRangeError

Models = Mapping[int | None, Callable[[], nn.Module]]
"""How to load the model of each quality, lowest rate first; None: weights that have no number."""

Tell = Callable[[str], object]
"""Is told of each encode, in words."""


@dataclass(frozen=True)
class Outcome(Generic[F]):
    """An image or a clip as it was coded to a target."""

    file: F
    quality: int | None
    step: float
    """By which the codec's own was multiplied: what `latentopt.adapters.with_step` takes."""
    lmbda: float
    """Of lambda * 255^2 * MSE + bits per pixel, which the search minimized."""
    encodes: int
    """How many it took; plain rounding is not counted."""
    plain: F | None
    """By plain rounding at that quality, where the target asked for it."""


class Climber(ABC, Generic[C, F]):
    """A codec at several qualities, or at one.

    Args:
        models: how to load those of its qualities; each is loaded once, when it is first tried.
        recipe: what to do with them; None: the preset ``default``.
    """

    _what: str
    """It codes, for errors."""

    def __init__(self, models: Models, recipe: Recipe | None = None):
        if not models:
            raise InputError("a ladder needs a model of one quality at least")
        self._models, self._qualities = models, list(models)
        self._recipe = recipe or get_preset("default")
        self._rungs: dict[int | None, Rung[C]] = {}

    @abstractmethod
    def _rung_of(self, quality: int | None, model: nn.Module) -> Rung[C]:
        """A quality's, from its model."""

    def _climb(
        self,
        encode: Callable[[C], F],
        pixels: int,
        target: Target,
        quality: int | None,
        tell: Tell,
    ) -> Outcome[F]:
        """Code with ``encode`` something of so many pixels, until it is what the target asks."""
        start = self._index(quality)
        plain = _Plain(lambda: encode(self._rung(start).plain))
        window = target.window(pixels, plain)
        indices = [start] if target.own_quality else range(len(self._qualities))
        seek = Seek(self._rung, indices, window, encode, tell, self._what)
        try:
            found = seek(start)
        except RateRangeError:
            if plain.coded is None or self._recipe.format != OWN:
                raise
            near = seek.near()
            if near is None or len(near.coded.data) >= len(plain.coded.data):
                # Of a flat image there is nothing to gain: plain rounding matches itself.
                coded = plain.coded
                lmbda = coded.codec.lmbda
                return Outcome(coded, self._qualities[start], 1.0, lmbda, seek.encodes, coded)
            found = near
        step, lmbda = found.rung.dial.step(found.position), found.coded.codec.lmbda
        return Outcome(found.coded, found.rung.quality, step, lmbda, seek.encodes, plain.coded)

    def load(self, quality: int | None = None) -> None:
        """Load a quality, None: the middle one, before it is first tried.

        Raises:
            InputError: there is no such quality.
        """
        self._rung(self._index(quality))

    def _index(self, quality: int | None) -> int:
        if quality is None:
            return len(self._qualities) // 2
        if quality not in self._qualities:
            known = ", ".join(map(str, self._qualities))
            raise InputError(f"quality {quality}: this codec has {known}")
        return self._qualities.index(quality)

    def _rung(self, index: int) -> Rung[C]:
        quality = self._qualities[index]
        if quality not in self._rungs:
            self._rungs[quality] = self._rung_of(quality, self._models[quality]())
        return self._rungs[quality]


class _Plain(Generic[F]):
    """Plain rounding, coded when it is first asked for."""

    def __init__(self, encode: Callable[[], F]):
        self._encode = encode
        self.coded: F | None = None

    def __call__(self) -> F:
        self.coded = self.coded or self._encode()
        return self.coded
