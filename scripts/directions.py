"""Which directions of the latent shift are worth their decodes and bytes.

Families of directions: ``density``, the gradient of -log density at the point; ``cell``, that of
-log P(cell), which by Tweedie's formula is also where the cell's centroid lies; ``sign``. Splits:
by spread (the six ranges of ``split``), by channel (six groups of equal rate), by cell (the
innermost points against the others). For each, the least squares problem of the shift is solved
with one decode per direction, steps unquantized, and what it takes off the squared error is printed
in dB.

    python scripts/directions.py --codec tiny-mbt2018-mean --quality 3
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from common import LAB_MEAN_2, add_codec, add_images, cut, head, images, line, load, run
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

import latentopt
from latentopt import Codec
from latentopt.encoder import Secant
from latentopt.latents import SPLITS
from latentopt.latents.lattice import Latent

FAMILIES = ("density", "cell", "sign")
_WAYS = ("none", "spread", "channel", "cell")
_GROUPS = 6


def family(name: str, latent: Latent) -> NDArray[np.float64]:
    """(n,) a direction of that family."""
    if name != "cell":
        return latent.directions(name)[0]
    density, levels, t = latent.density, latent.prior.levels, latent.residual
    out, step = np.zeros(len(t)), 1e-3
    for level in np.unique(levels[t != 0]):
        mine = (levels == level) & (t != 0)
        kappa = latent.tables.lattices[level].second_moment
        low, high = (density.smoothed(int(level), t[mine] + s, kappa) for s in (-step, step))
        out[mine] = np.log(np.maximum(low, 1e-300) / np.maximum(high, 1e-300)) / (2 * step)
    return out


def parts(split: str, latent: Latent) -> NDArray[np.int64]:
    """(n,) which part of a split each element belongs to."""
    plane = int(np.prod(latent.prior.shape[1:]))
    if split == "spread":
        of_level: NDArray[np.int64] = np.searchsorted(SPLITS, latent.density.spreads)
        return of_level[latent.prior.levels]
    if split == "channel":
        rate = latent.bits().reshape(-1, plane).sum(axis=1)
        order = np.argsort(-rate)
        share = np.cumsum(rate[order]) / rate.sum()
        group = np.empty(len(rate), dtype=np.int64)
        group[order] = np.minimum((share * _GROUPS).astype(np.int64), _GROUPS - 1)
        return np.repeat(group, plane)
    if split == "cell":
        return (np.abs(latent.residual) > 1.01).astype(np.int64)
    return np.zeros(len(latent.residual), dtype=np.int64)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_codec(parser, "mbt2018-mean", weights=LAB_MEAN_2)
    add_images(parser, "clic2020", limit=3)
    args = parser.parse_args(argv)
    model, crops = load(args), [cut(x) for x in images(args)]
    plain = latentopt.wrap(model, "int", False)
    codecs = {
        "int, nearest": plain,
        "default": latentopt.wrap(model, preset="default", direction="split"),
    }
    for title, codec in codecs.items():
        gains: dict[tuple[str, str], list[float]] = {}
        for x in tqdm(crops, desc=title, disable=None):
            for key, gain in measured(codec, plain, x):
                gains.setdefault(key, []).append(gain)
        print("\n" + head(title, *_WAYS))
        for name in FAMILIES:
            print(line(f"{name}, dB", *(f"{np.mean(gains[name, way]):.4f}" for way in _WAYS)))


@torch.no_grad()
def measured(codec: Codec, plain: Codec, x: Tensor) -> list[tuple[tuple[str, str], float]]:
    """What each family and split gains on one image, in dB; ``plain`` decodes in full precision."""
    latent = codec.encode(x)["y"][0].latent
    assert isinstance(latent, Latent)
    problem = plain.shift_problem([latent], x, "density")
    found = []
    for name in FAMILIES:
        direction = family(name, latent)
        for split in _WAYS:
            part = parts(split, latent)
            rows = np.stack([np.where(part == k, direction, 0.0) for k in np.unique(part)])
            moves = torch.from_numpy(rows).float().reshape(1, -1, *latent.prior.shape)
            [fit] = Secant().fits(replace(problem, directions=moves))
            steps = fit.steps(0.0)
            left = fit.energy - 2 * steps @ fit.along + steps @ fit.gram @ steps
            found.append(((name, split), -10 * float(np.log10(left / fit.energy))))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
