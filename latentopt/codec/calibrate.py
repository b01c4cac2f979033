"""Offline calibration: what images of a kind have in common, so that it costs no bits."""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from operator import add

import torch
from torch import Tensor

from latentopt.bitstream import encode_step
from latentopt.codec.assembly import OFFSETS
from latentopt.codec.encode import Encoder
from latentopt.codec.image import Codec
from latentopt.encoder import Examples, Fit, Ladder, Secant, examples_of, fit_network
from latentopt.errors import InputError

_STEPS = 3000  # of gradients, for a network
_WORTHWHILE = 1e-5
"""Of the squared error: a step that costs no bits is worth less than one that is sent."""


def calibrate(codec: Codec, images: Iterable[Tensor], *, context: bool = False) -> Codec:
    """Fit to images of a kind what a codec's streams then need not say, in place.

    Reconstruction offsets, where in its cell a point is decoded: a density that falls within the
    cell has its mean nearer to zero than the lattice point is, and a trained synthesis may want yet
    another place. So every element is moved along the sign of its residual, by one step for each of
    six ranges of spread; these steps minimize the squared error of the images (the equations of the
    latent shift, summed over all).

    With ``context``, instead: the network that adapts entropy parameters to what has crossed, in
    place of the one for all codecs that ships with latentopt.

    Both belong to the codec: its ``state_dict`` carries them, its table hash covers them, and
    streams written before do not decode any more.

    Args:
        codec: as :func:`latentopt.wrap` returned it.
        images: each (B, 3, H, W) in [0, 1]; a dozen photographs are plenty. Not the test set.

    Returns:
        The same codec.

    Raises:
        InputError: there are no images, or they are not such; or the codec has no context.
    """
    if context:
        return _fit_context(codec, images)
    codec.offsets = (0,) * len(codec.offsets)
    fits = [fit for x in images for fit in _fits(codec, x)]
    if not fits:
        raise _nothing()
    codec.offsets = [encode_step(step) for step in reduce(add, fits).steps(_WORTHWHILE)]
    return codec


def _nothing() -> InputError:
    return InputError("calibration needs images: give at least one")


def _fit_context(codec: Codec, images: Iterable[Tensor]) -> Codec:
    main = codec.context_channel
    found = [examples for x in images for examples in context_examples(codec, x)]
    if not found:
        raise _nothing()
    ladder = Ladder(main, codec.assembly.prices)
    codec.use_network(fit_network(Examples.joined(found), ladder, steps=_STEPS))
    return codec


@torch.no_grad()
def context_examples(codec: Codec, x: Tensor) -> list[Examples]:
    """What the context of a codec may learn from images (B, 3, H, W): of each, its elements."""
    assembly, main = codec.assembly, codec.context_channel
    plain = replace(assembly, channels=(main.without_context(), *assembly.channels[1:]))
    latents = [coded.latent for coded in Encoder(plain).encode(x)["y"]]
    return [examples_of(main, latent.prior, latent.residual) for latent in latents]


@torch.no_grad()
def _fits(codec: Codec, x: Tensor) -> list[Fit]:
    """How offsets would change the error of each image."""
    latents = [coded.latent for coded in codec.encode(x)["y"]]
    return Secant().fits(codec.shift_problem(latents, x, OFFSETS))
