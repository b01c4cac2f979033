"""What the options that speak of samples mean for codecs that send nothing else."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import dcvc
from latentopt.cli.arguments import refuse
from latentopt.cli.described import Described
from latentopt.cli.native import is_native
from latentopt.cli.recipe import OF_POINTS
from latentopt.errors import InputError
from latentopt.zoo import catalog
from latentopt.zoo.names import SAMPLED

if TYPE_CHECKING:
    from torch import Tensor

    from latentopt.codec.explain import Explanation
    from latentopt.codec.image import Codec

SPREAD, SAMPLER = 1.0, "mixed"
"""Of codecs that are trained for samples: their own posteriors. As the library has them, whose
import takes seconds; a test compares."""


def settle(args: argparse.Namespace) -> None:
    """Put what the options leave open into them, where the codec is one that sends samples.

    Raises:
        InputError: they speak of what such a codec has not.
    """
    if dcvc.is_named(args) or catalog.family(args.codec) not in SAMPLED:
        return
    sends = f"{args.codec} sends samples"
    refuse(args, (*OF_POINTS, "progressive"), "for points of a lattice", unlike=sends)
    if args.step != 1:
        raise InputError(f"--step {args.step:g}: {sends}, which have no step: leave it out")
    if is_native(args):
        raise InputError(f"--format {args.format}: {sends}, which CompressAI's files do not know")
    if args.spread is None and (args.sampler or args.seed is not None):
        args.spread = SPREAD
    if args.spread is not None and args.sampler is None:
        args.sampler = SAMPLER


@dataclass(frozen=True)
class Against:
    """What only who has a file's original can know of its samples."""

    original: Path
    psnr_db: float
    """Low where it is another image."""
    kl_bits: tuple[float, ...]
    """Of each latent, NaN of one that is not sampled."""

    @staticmethod
    def of(codec: "Codec", x_hat: "Tensor", original: Path) -> "Against":
        """Of the image that a file decodes to.

        Raises:
            InputError: the original is of another size.
        """
        from latentopt.media.images import as_rgb, read_image, to_uint8
        from latentopt.media.quality import psnr_db

        x, x_hat = as_rgb(read_image(original)), as_rgb(x_hat)
        if x.shape != x_hat.shape:
            size = f"{x.shape[-1]}x{x.shape[-2]}, and the file {x_hat.shape[-1]}x{x_hat.shape[-2]}"
            raise InputError(f"{original}: is {size}: it is not the file's original")
        kl = tuple(of_image for [of_image] in codec.divergences(x).values())
        return Against(original, psnr_db(to_uint8(x), to_uint8(x_hat)), kl)

    def said_of(self, explained: "Explanation") -> str:
        """For people."""
        lines = [f"PSNR against {self.original}: {self.psnr_db:.2f} dB", "", "above KL:"]
        for latent, kl in zip(explained.latents, self.kl_bits):
            if not math.isnan(kl):
                bits = 8 * latent.string_bytes
                above = f"{bits:,} bits for a KL of {kl:,.0f}, {100 * (bits / kl - 1):+z.1f} %"
                lines.append(f"{latent.name} latent: {above}")
        return "\n".join(lines)

    def described(self) -> Described:
        """For JSON."""
        kl = [None if math.isnan(bits) else bits for bits in self.kl_bits]
        return {"psnr_db": self.psnr_db if math.isfinite(self.psnr_db) else None, "kl_bits": kl}
