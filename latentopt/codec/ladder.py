"""A codec at all its qualities, which codes an image to a target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from latentopt.codec.dial import MakeDial, best_dial, lambda_dial
from latentopt.codec.formats import OWN
from latentopt.codec.recipe import ROUNDING, Recipe, get_preset
from latentopt.codec.rung import CodedFile, Rung, encode_image
from latentopt.codec.seek import Seek, Trial
from latentopt.codec.target import Target
from latentopt.codec.wrap import MakeAdapter, wrap_image
from latentopt.errors import InputError, RateRangeError

Models = Mapping[int | None, Callable[[], nn.Module]]
"""How to load the model of each quality, lowest rate first; None: weights that have no number."""


@dataclass(frozen=True)
class Outcome:
    """An image as it was coded to a target."""

    file: CodedFile
    quality: int | None
    step: float
    """By which the codec's own was multiplied: what `latentopt.adapters.with_step` takes."""
    lmbda: float
    """Of lambda * 255^2 * MSE + bits per pixel, which the search minimized."""
    encodes: int
    """How many it took; plain rounding is not counted."""
    plain: CodedFile | None
    """By plain rounding at that quality, where the target asked for it."""


class Ladder:
    """A codec at several qualities, or at one.

    >>> import torch
    >>> from latentopt import zoo
    >>> from latentopt.codec.target import MaxBytes
    >>> ladder = Ladder(zoo.models("tiny-mbt2018-mean"))
    >>> outcome = ladder.encode(torch.rand(1, 3, 64, 96), MaxBytes(1000))
    >>> 990 <= len(outcome.file.data) <= 1000
    True

    Args:
        models: how to load those of its qualities; each is loaded once, when it is first tried.
        recipe: what to do with them; None: the preset ``default``.
        adapter: for a codec of your own, see :func:`latentopt.wrap`.
        dial: what moves the rate at one quality; None: the step where the model has one, else
            lambda.
    """

    def __init__(
        self,
        models: Models,
        recipe: Recipe | None = None,
        adapter: MakeAdapter | None = None,
        dial: MakeDial | None = None,
    ):
        if not models:
            raise InputError("a ladder needs a model of one quality at least")
        self._models, self._qualities = models, list(models)
        self._recipe, self._adapter = recipe or get_preset("default"), adapter
        # `with_step` knows the families of codecs that have no adapter of their own
        self._dial = dial or (lambda_dial if adapter else best_dial)
        self._rungs: dict[int | None, Rung] = {}

    def encode(
        self,
        x: Tensor,
        target: Target,
        quality: int | None = None,
        tell: Callable[[str], object] = lambda said: None,
    ) -> Outcome:
        """Code one image to a target, with eight encodes at most.

        Args:
            x: the image (1, 3, H, W) in [0, 1].
            target: what its file should come to.
            quality: where to begin, and where to stay if the target is to match plain rounding;
                None: in the middle.
            tell: is told of each encode, in words.

        Raises:
            RateRangeError: no quality and setting of this codec gives that; the message says what
                it gives.
            InputError: ``x`` is not one image, or there is no such quality.
        """
        if x.dim() != 4 or len(x) != 1:
            raise InputError(f"a target is for one image (1, 3, H, W), not {tuple(x.shape)}")
        start = self._index(quality)
        plain = _Plain(lambda: encode_image(self._rung(start).plain, x))
        window = target.window(x.shape[-2] * x.shape[-1], plain)
        indices = [start] if target.own_quality else range(len(self._qualities))
        seek = Seek(self._rung, indices, window, lambda codec: encode_image(codec, x), tell)
        try:
            found = seek(start)
        except RateRangeError:
            # Of a flat image there is nothing to gain: plain rounding matches itself.
            if plain.coded is None or self._recipe.format != OWN:
                raise
            rung, coded = self._rung(start), plain.coded
            return Outcome(coded, rung.quality, 1.0, coded.codec.lmbda, seek.encodes, coded)
        return _outcome(found, seek.encodes, plain.coded)

    def _index(self, quality: int | None) -> int:
        if quality is None:
            return len(self._qualities) // 2
        if quality not in self._qualities:
            known = ", ".join(map(str, self._qualities))
            raise InputError(f"quality {quality}: this codec has {known}")
        return self._qualities.index(quality)

    def _rung(self, index: int) -> Rung:
        quality = self._qualities[index]
        if quality not in self._rungs:
            model = self._models[quality]()
            codec = wrap_image(model, self._recipe, self._adapter)
            rounding = ROUNDING.but(portable=self._recipe.portable)
            plain = wrap_image(model, rounding, self._adapter)
            dial = self._dial(model, codec, self._recipe)
            self._rungs[quality] = Rung(quality, codec, plain, dial)
        return self._rungs[quality]


class _Plain:
    """Plain rounding, coded when it is first asked for."""

    def __init__(self, encode: Callable[[], CodedFile]):
        self._encode = encode
        self.coded: CodedFile | None = None

    def __call__(self) -> CodedFile:
        self.coded = self.coded or self._encode()
        return self.coded


def _outcome(found: Trial, encodes: int, plain: CodedFile | None) -> Outcome:
    step = found.rung.dial.step(found.position)
    lmbda = found.coded.codec.lmbda
    return Outcome(found.coded, found.rung.quality, step, lmbda, encodes, plain)
