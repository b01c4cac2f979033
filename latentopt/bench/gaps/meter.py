"""The gaps of a codec on images: what its latent is before and after rounding, and decoded."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters import Tiled
from latentopt.bench.gaps.tally import Tally
from latentopt.codec.image import Codec
from latentopt.codec.recipe import ROUNDING
from latentopt.codec.synthesis import Synthesis, padded
from latentopt.codec.wrap import wrap_image
from latentopt.errors import InputError
from latentopt.latents import Crossed

_PEAK = 255.0  # on whose scale squared errors are
_SEED = 0


@dataclass(frozen=True)
class Gaps:
    """Of one set of weights on some images; distances are in quantization steps."""

    elements: int
    """Of the main latent, in all images."""
    zeros: float
    """Share that is rounded to the model's own guess."""
    bits: float
    """Mean cost of an element, by the model's own probabilities."""
    discrete_1: float
    """Mean of \\|y - round(y)\\| (eq. 3, p = 1), y about its centre: 1/4 where y knows nothing of
    integers and spreads over several."""
    discrete_2: float
    """Mean of its square (p = 2): likewise 1/12."""
    wasserstein: float
    """The entropy estimation gap: the distance, of order 1, between the rounded elements and the
    densities that the model has of them."""
    kl_bits: float
    """The same in bits an element: the divergence of each channel's integers from what the model
    expects of them, what expectations cost that are wrong channel by channel."""
    kl_levels_bits: float
    """Likewise for each of the model's levels, what better tables would save."""
    smoothness: float
    """Local smoothness (after eq. 5): mean of \\|D(ŷ + u) - D(ŷ)\\| with D the squared error of the
    image on a scale of 255, u uniform in the cell of an integer."""
    noise_db: float
    """The PSNR that this noise costs, in dB; negative where it gains some."""
    channels: pd.DataFrame
    """A row for each channel of the main latent."""
    histogram: tuple[NDArray[np.float64], NDArray[np.int64]]
    """Middles of bins and counts of y about its centre."""

    def row(self) -> dict[str, float]:
        """All that is one number, by name."""
        found = asdict(self)
        del found["channels"], found["histogram"]
        return found


def measure(model: nn.Module, images: Iterable[Tensor], draws: int = 2) -> Gaps:
    """The gaps of an image codec's main latent, in memory that one image takes.

    Args:
        model: one that :func:`latentopt.wrap` takes.
        images: each (1, 3, H, W) in [0, 1].
        draws: of noise for the local smoothness of each image, a synthesis each.

    Raises:
        InputError: there is no image, or one that is none; fewer draws than 1.
        UnsupportedModelError: no adapter is for the model.
    """
    if draws < 1:
        raise InputError(f"draws {draws}: the local smoothness takes at least 1")
    codec, tally = wrap_image(model, ROUNDING), None
    bits, errors = 0.0, []
    for number, x in enumerate(images):
        [coded] = codec.encode(x)["y"]
        latent = coded.latent
        tally = tally or Tally(latent.density.core, latent.prior.shape[0])
        tally.add(latent, _latent_of(codec, x))
        bits += float(latent.bits().sum())
        errors.append(_errors(codec, x, latent, draws, number))
    if tally is None:
        raise InputError("gaps of no image: give at least one")
    quiet, *noisy = np.array(errors).T  # (images,) each
    return Gaps(
        elements=tally.elements,
        zeros=tally.zeros,
        bits=bits / tally.elements,
        discrete_1=tally.discrete[0],
        discrete_2=tally.discrete[1],
        wasserstein=tally.wasserstein,
        kl_bits=tally.kl_bits,
        kl_levels_bits=tally.kl_levels_bits,
        smoothness=float(np.abs(noisy - quiet).mean()),
        noise_db=float(10 * np.log10(noisy / quiet).mean()),
        channels=tally.channels(),
        histogram=tally.histogram,
    )


@torch.no_grad()
def _latent_of(codec: Codec, x: Tensor) -> NDArray[np.float64]:
    """The main latent (n,) of an image before it is rounded."""
    adapter, assembly = codec.assembly.adapter, codec.assembly
    image = padded(x, adapter.stride).to(assembly.device, assembly.dtype)
    found: NDArray[np.float64] = Tiled(adapter).analysis(image).double().cpu().numpy().ravel()
    return found


@torch.no_grad()
def _errors(codec: Codec, x: Tensor, latent: Crossed, draws: int, seed: int) -> list[float]:
    """Squared error of the decoded image, and of what it is with noise in its latent (draws)."""
    synthesis = Synthesis(codec.assembly)
    rng = np.random.default_rng([_SEED, seed])

    def error(values: NDArray[np.floating]) -> float:
        y_hat = torch.from_numpy(values.astype(np.float32)).reshape(1, *latent.prior.shape)
        image = synthesis.image(y_hat).clamp(0, 1).cpu()[..., : x.shape[-2], : x.shape[-1]]
        return float((image - x.cpu()).square().mean(dtype=torch.float64)) * _PEAK**2

    noise = (rng.uniform(-0.5, 0.5, len(latent.hat)) for _ in range(draws))
    return [error(latent.hat), *(error(latent.hat + latent.prior.scaled(u)) for u in noise)]
