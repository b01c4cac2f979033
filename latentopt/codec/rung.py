"""A codec at one quality, and an image as it codes it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Generic

import torch
from torch import Tensor

from latentopt.codec.dial import C, Dial
from latentopt.codec.formats import OWN
from latentopt.codec.image import Codec
from latentopt.codec.synthesis import Synthesis
from latentopt.latents import Coded
from latentopt.media.images import as_grey, as_rgb, to_uint8
from latentopt.media.quality import psnr_db


@dataclass(frozen=True)
class Rung(Generic[C]):
    """A codec at one quality."""

    quality: int | None
    codec: C
    plain: C
    """The same model with plain rounding."""
    dial: Dial[C]

    def __str__(self) -> str:
        return "the codec" if self.quality is None else f"quality {self.quality}"


@dataclass(frozen=True)
class CodedFile:
    """One image's file, and what it came to."""

    data: bytes
    codec: Codec
    """Decodes it."""
    x: Tensor
    """(1, 3, H, W), or (1, 1, H, W) if grey."""
    main: Coded | None
    """The main latent; None where only the data says what a decoder will have."""

    @property
    def bpp(self) -> float:
        """Bits per pixel of the whole file."""
        return 8 * len(self.data) / (self.x.shape[-2] * self.x.shape[-1])

    @cached_property
    def picture(self) -> Tensor:
        """The decoded image, (3, H, W) or grey (1, H, W), uint8."""
        if self.main is None:
            x_hat = self.codec.load_bytes(self.data)
        else:
            x_hat = Synthesis(self.codec.assembly).pictures([self.main], self.x.shape[-2:])
            x_hat = as_grey(x_hat) if self.x.shape[1] == 1 else x_hat
        return to_uint8(x_hat.cpu())

    @cached_property
    def psnr_db(self) -> float:
        """Of the decoded image, in 8-bit RGB or grey."""
        return psnr_db(to_uint8(self.x), self.picture)


@torch.no_grad()
def encode_image(codec: Codec, x: Tensor) -> CodedFile:
    """One image's file, as `codec.save` writes it."""
    if codec.recipe.format != OWN:
        return CodedFile(codec.save_bytes(as_rgb(x)), codec, as_rgb(x), None)  # knows no grey
    data, main = codec.encode_file(x)
    return CodedFile(data, codec, x, main)
