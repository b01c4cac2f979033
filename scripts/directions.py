"""Which directions of the latent shift are worth their decodes and bytes.

Families of directions: ``density``, the gradient of -log density at the point; ``cell``, that of
-log P(cell), which by Tweedie's formula is also where the cell's centroid lies; ``sign``. Splits:
by spread (the six ranges of ``split``), by channel (six groups of equal rate), by cell (the
innermost points against the others). For each, the least squares problem of the shift is solved
with one decode per direction, steps unquantized, and what it takes off the squared error is printed
in dB.

    python scripts/directions.py --codec mbt2018-mean --weights ../shared/weights/lab-mean-2.pt
"""

import argparse
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import latentopt
from latentopt import zoo
from latentopt.bench import datasets
from latentopt.encoder import Secant
from latentopt.latents.lattice import SPLITS, Latent
from latentopt.media.images import read_image

_WAYS = ("none", "spread", "channel", "cell")
_GROUPS = 6


def family(name: str, latent: Latent) -> NDArray[np.float64]:
    """(n,) a direction of that family."""
    if name != "cell":
        return latent.directions(name)[0]
    density, levels, t = latent.coder.density, latent.prior.levels, latent.residual
    out, step = np.zeros(len(t)), 1e-3
    for level in np.unique(levels[t != 0]):
        mine = (levels == level) & (t != 0)
        kappa = latent.coder.lattices[level].second_moment
        low, high = (density.smoothed(int(level), t[mine] + s, kappa) for s in (-step, step))
        out[mine] = np.log(np.maximum(low, 1e-300) / np.maximum(high, 1e-300)) / (2 * step)
    return out


def parts(split: str, latent: Latent) -> NDArray[np.int64]:
    """(n,) which part of a split each element belongs to."""
    plane = int(np.prod(latent.prior.shape[1:]))
    if split == "spread":
        return np.searchsorted(SPLITS, latent.coder.spreads)[latent.prior.levels]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", default="mbt2018-mean")
    parser.add_argument("--weights", default="../shared/weights/lab-mean-2.pt")
    parser.add_argument("--data", default="../shared/data/clic")
    parser.add_argument("--limit", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = zoo.load(args.codec, weights=args.weights)
    paths = datasets.resolve(args.data).first(args.limit).paths
    images = [read_image(path)[..., :512, :768].contiguous() for path in paths]
    plain = latentopt.wrap(model, "int", False)
    codecs = {
        "int, nearest": plain,
        "default": latentopt.wrap(model, preset="default", direction="split"),
    }
    for title, codec in codecs.items():
        gains: dict[tuple[str, str], list[float]] = {}
        for x in tqdm(images, desc=title):
            for key, gain in measured(codec, plain, x):
                gains.setdefault(key, []).append(gain)
        print(f"\n| {title} | {' | '.join(_WAYS)} |\n|{' --- |' * (len(_WAYS) + 1)}")
        for name in ("density", "cell", "sign"):
            row = " | ".join(f"{np.mean(gains[name, split]):.4f}" for split in _WAYS)
            print(f"| {name}, dB | {row} |")


@torch.no_grad()
def measured(
    codec: latentopt.Codec, plain: latentopt.Codec, x: torch.Tensor
) -> list[tuple[tuple[str, str], float]]:
    """What each family and split gains on one image, in dB; ``plain`` decodes in full precision."""
    latent = codec.latents(x)[0]
    problem = plain.shift_problem([latent], x, "density")
    found = []
    for name in ("density", "cell", "sign"):
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
    main()
