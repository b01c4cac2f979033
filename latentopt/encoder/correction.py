"""Scale corrections: how much wider or narrower an image's channels are than their densities say.

Trained entropy models fit images on average (the amortization gap); a correction per channel, sent
with the image, moves the levels of its elements up or down the table of scales.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from latentopt.densities import Density
from latentopt.encoder.prices import Prices
from latentopt.latents import Prior
from latentopt.latents.lattice import CORRECTION_BITS, MAX_CORRECTION
from latentopt.lattices import LATTICES

_REACH = 400  # residuals beyond it count as those at it


def fit_corrections(
    density: Density, prices: Prices, prior: Prior, values: NDArray[np.floating]
) -> NDArray[np.int32]:
    """(M,) the corrections that make the latent ``values`` (n,), rounded, cheapest to code.

    What a channel costs is counted from its histogram over levels
    and residuals, so it takes no longer for many corrections than for one.
    """
    bits = prices.of(LATTICES["int"])
    plane = int(np.prod(prior.shape[1:]))
    k = np.clip(np.rint(prior.residual(values)), -_REACH, _REACH).astype(np.int64)
    channel = np.arange(len(k)) // plane
    pair, k, count = _histogram(channel * density.levels + prior.levels, k)
    channel, levels = np.divmod(pair, density.levels)
    steps = np.arange(-MAX_CORRECTION, MAX_CORRECTION + 1)
    cost = np.empty((len(steps), prior.shape[0]))
    for i, step in enumerate(steps):
        moved = density.rescaled(levels, np.full(len(levels), step))
        each = bits(torch.from_numpy(moved), torch.from_numpy(k)[None])[0].numpy()
        cost[i] = np.bincount(channel, each * count, minlength=prior.shape[0])
    return steps[(cost + CORRECTION_BITS[:, None]).argmin(axis=0)].astype(np.int32)


def _histogram(
    pair: NDArray[np.int64], k: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct (pair, k), and how often each occurs. Most k are 0, and counted without sorting."""
    zero = k == 0
    counts = np.bincount(pair[zero])
    still = np.flatnonzero(counts)
    key = pair[~zero] * (2 * _REACH + 1) + k[~zero] + _REACH
    distinct, moving = np.unique(key, return_counts=True)
    others, offset = np.divmod(distinct, 2 * _REACH + 1)
    return (
        np.concatenate([still, others]),
        np.concatenate([np.zeros_like(still), offset - _REACH]),
        np.concatenate([counts[still], moving]),
    )
