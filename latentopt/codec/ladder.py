"""An image codec at all its qualities, which codes an image to a target."""

from torch import Tensor, nn

from latentopt.codec.climb import Climber, Models, Outcome, Tell
from latentopt.codec.dial import MakeDial, best_dial, lambda_dial
from latentopt.codec.image import Codec
from latentopt.codec.recipe import ROUNDING, Recipe
from latentopt.codec.rung import CodedFile, Rung, encode_image
from latentopt.codec.target import Target
from latentopt.codec.wrap import MakeAdapter, wrap_image
from latentopt.errors import InputError


class Ladder(Climber[Codec, CodedFile]):
    """An image codec at several qualities, or at one.

    >>> import torch
    >>> from latentopt import zoo
    >>> from latentopt.codec.target import MaxBytes
    >>> ladder = Ladder(zoo.models("tiny-mbt2018-mean"))
    >>> outcome = ladder.encode(torch.rand(1, 3, 128, 192), MaxBytes(4000))
    >>> 3960 <= len(outcome.file.data) <= 4000
    True

    Args:
        models: how to load those of its qualities; each is loaded once, when it is first tried.
        recipe: what to do with them; None: the preset ``default``.
        adapter: for a codec of your own, see :func:`latentopt.wrap`.
        dial: what moves the rate at one quality; None: the step where the model has one, else
            lambda.
    """

    _what = "image"

    def __init__(
        self,
        models: Models,
        recipe: Recipe | None = None,
        adapter: MakeAdapter | None = None,
        dial: MakeDial | None = None,
    ):
        super().__init__(models, recipe)
        self._adapter = adapter
        # `with_step` knows the families of codecs that have no adapter of their own
        self._dial = dial or (lambda_dial if adapter else best_dial)

    def encode(
        self,
        x: Tensor,
        target: Target,
        quality: int | None = None,
        tell: Tell = lambda said: None,
    ) -> Outcome[CodedFile]:
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
        pixels = x.shape[-2] * x.shape[-1]
        return self._climb(lambda codec: encode_image(codec, x), pixels, target, quality, tell)

    def plain(self, x: Tensor, quality: int | None = None) -> CodedFile:
        """The image as plain rounding codes it at a quality; None: at the middle one.

        Raises:
            InputError: there is no such quality.
        """
        return encode_image(self._rung(self._index(quality)).plain, x)

    def _rung_of(self, quality: int | None, model: nn.Module) -> Rung[Codec]:
        codec = wrap_image(model, self._recipe, self._adapter)
        rounding = ROUNDING.but(portable=self._recipe.portable)
        plain = wrap_image(model, rounding, self._adapter)
        return Rung(quality, codec, plain, self._dial(model, codec, self._recipe))
