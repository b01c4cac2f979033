"""A video codec at all its qualities, which codes a clip to a target."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from latentopt.codec.climb import Climber, Models, Outcome, Tell
from latentopt.codec.dial import LambdaDial
from latentopt.codec.recipe import ROUNDING, Recipe
from latentopt.codec.rung import Rung
from latentopt.codec.target import Target
from latentopt.codec.video import VideoCodec
from latentopt.codec.wrap import MakeVideoAdapter, wrap_video
from latentopt.errors import InputError
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db


@dataclass(frozen=True)
class CodedClip:
    """One clip's file, and what it came to."""

    data: bytes
    codec: VideoCodec
    """Decodes it."""
    psnr_db: float
    """In 8-bit RGB, the mean of the frames'."""


class Quality:
    """The mean PSNR of frames, as `codec.save` shows them with what will be decoded of each."""

    def __init__(self) -> None:
        self._db: list[float] = []

    def __call__(self, x: Tensor, x_hat: Tensor) -> None:
        self._db.append(psnr_db(to_uint8(x), to_uint8(x_hat.cpu())))

    @property
    def psnr_db(self) -> float:
        """In 8-bit RGB."""
        return sum(self._db) / len(self._db)


@torch.no_grad()
def encode_clip(
    codec: VideoCodec,
    frames: Iterable[Tensor],
    rate: Fraction | int,
    done: Callable[[int], object] = lambda size: None,
) -> CodedClip:
    """One clip's file, as `codec.save` writes it; arguments as it has them."""
    quality = Quality()
    data = codec.save_bytes(frames, rate, done, quality)
    return CodedClip(data, codec, quality.psnr_db)


class ClipLadder(Climber[VideoCodec, CodedClip]):
    """A video codec at several qualities, or at one; within each, lambda moves the rate.

    Args:
        models: how to load those of its qualities; each is loaded once, when it is first tried.
        recipe: what to do with them; None: the preset ``default``. One that does not search leaves
            the qualities alone to choose from.
        adapter: for a codec of your own, see :func:`latentopt.wrap`.
    """

    _what = "clip"

    def __init__(
        self,
        models: Models,
        recipe: Recipe | None = None,
        adapter: MakeVideoAdapter | None = None,
    ):
        super().__init__(models, recipe)
        self._adapter = adapter

    def encode(
        self,
        frames: Iterable[Tensor],
        rate: Fraction | int,
        pixels: int,
        target: Target,
        quality: int | None = None,
        tell: Tell = lambda said: None,
        done: Callable[[int], object] = lambda size: None,
    ) -> Outcome[CodedClip]:
        """Code one clip to a target, with eight encodes at most.

        Args:
            frames: each (1, 3, H, W) in [0, 1]; iterated once for each encode.
            rate: frames per second.
            pixels: of all frames.
            target, quality, tell: see :meth:`Ladder.encode`.
            done: called after each frame of each encode, with its size in bytes.

        Raises:
            RateRangeError: no quality and lambda of this codec gives that; the message says what
                it gives.
            InputError: the frames are not those of a clip, can be read but once, or there is no
                such quality.
        """
        if isinstance(frames, Iterator):
            raise InputError("frames are read once for each encode: give a list, or a Clip")

        def encode(codec: VideoCodec) -> CodedClip:
            return encode_clip(codec, frames, rate, done)

        return self._climb(encode, pixels, target, quality, tell)

    def _rung_of(self, quality: int | None, model: nn.Module) -> Rung[VideoCodec]:
        codec = wrap_video(model, self._recipe, self._adapter)
        rounding = ROUNDING.but(portable=self._recipe.portable, gop=self._recipe.gop)
        plain = wrap_video(model, rounding, self._adapter)
        return Rung(quality, codec, plain, LambdaDial(codec))
