"""Offline calibration: what images of a kind have in common, so that it costs no bits."""

from collections.abc import Iterable
from functools import reduce
from operator import add

import torch
from torch import Tensor

from latentopt.bitstream import encode_step
from latentopt.codec.assembly import OFFSETS
from latentopt.codec.image import Codec
from latentopt.encoder import Fit, Secant
from latentopt.errors import InputError

_WORTHWHILE = 1e-5
"""Of the squared error: a step that costs no bits is worth less than one that is sent."""


def calibrate(codec: Codec, images: Iterable[Tensor]) -> Codec:
    """Fit a codec's reconstruction offsets, in place: where in its cell a point is decoded.

    A density that falls within the cell has its mean nearer to zero than the lattice point is, and
    a trained synthesis may want yet another place. So every element is moved along the sign of its
    residual, by one step for each of six ranges of spread; these steps minimize the squared error
    of the images (the equations of the latent shift, summed over all). They belong to the codec:
    its ``state_dict`` carries them, its table hash covers them, and streams written before do not
    decode any more.

    Args:
        codec: as :func:`latentopt.wrap` returned it.
        images: each (B, 3, H, W) in [0, 1]; a dozen photographs are plenty. Not the test set.

    Returns:
        The same codec.

    Raises:
        InputError: there are no images, or they are not such.
    """
    codec.offsets = (0,) * len(codec.offsets)
    fits = [fit for x in images for fit in _fits(codec, x)]
    if not fits:
        raise InputError("calibration needs images: give at least one")
    codec.offsets = [encode_step(step) for step in reduce(add, fits).steps(_WORTHWHILE)]
    return codec


@torch.no_grad()
def _fits(codec: Codec, x: Tensor) -> list[Fit]:
    """How offsets would change the error of each image."""
    latents = [coded.latent for coded in codec.encode(x)["y"]]
    return Secant().fits(codec.shift_problem(latents, x, OFFSETS))
