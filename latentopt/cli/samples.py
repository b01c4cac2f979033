"""What the options that speak of samples mean for codecs that send nothing else."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import dcvc
from latentopt.errors import InputError
from latentopt.zoo import catalog
from latentopt.zoo.names import SAMPLED

if TYPE_CHECKING:
    from latentopt.codec.explain import Explanation
    from latentopt.codec.image import Codec

SPREAD, SAMPLER = 1.0, "mixed"
"""Of codecs that are trained for samples: their own posteriors. As the library has them, whose
import takes seconds; a test compares."""


def settle(args: argparse.Namespace) -> None:
    """Put what the options leave open into them, where the codec is one that sends samples."""
    if dcvc.is_named(args) or catalog.family(args.codec) not in SAMPLED:
        return
    if args.spread is None and (args.sampler or args.seed is not None):
        args.spread = SPREAD
    if args.spread is not None and args.sampler is None:
        args.sampler = SAMPLER


def overhead(codec: "Codec", original: Path, explained: "Explanation") -> str:
    """What a file's samples cost above KL, which only who has the original can know.

    Raises:
        InputError: the original is of another size.
    """
    from latentopt.media.images import as_rgb, read_image

    x = as_rgb(read_image(original))
    if x.shape[-2:] != (explained.height, explained.width):
        size = f"{x.shape[-1]}x{x.shape[-2]}, and the file {explained.width}x{explained.height}"
        raise InputError(f"{original}: is {size}: it is not the file's original")
    found = zip(explained.latents, codec.divergences(x).values())
    lines = [
        f"{latent.name} latent: {8 * latent.string_bytes:,} bits for a KL of {kl:,.0f}, "
        f"{100 * (8 * latent.string_bytes / kl - 1):+.1f} %"
        for latent, [kl] in found
        if not math.isnan(kl)
    ]
    return "\n".join(lines)
