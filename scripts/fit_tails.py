"""Fit the contamination of the Gaussians (latentopt.densities.TAILS) on CLIC photographs.

Run: python scripts/fit_tails.py [--weights ../shared/weights/lab-mean-*.pt]
Counts how often each integer residual occurs at each level, prices the counts under every candidate
and prints the rate of `int` against 16-bit tables of the bare Gaussians. Never run it on Kodak.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.special import ndtr

from latentopt import zoo
from latentopt.adapters import adapter_class, channel_prior
from latentopt.bench import datasets
from latentopt.latents.lattice import LatentCoder
from latentopt.lattices import RULES
from latentopt.media.images import read_image

REACH = 1000
RATIOS, WEIGHTS = (2.0, 2.5, 3.0, 4.0), (0.001, 0.002, 0.004, 0.008)
FAR = ((0.0, 1.0), (1e-5, 10.0), (1e-4, 8.0))


@torch.no_grad()
def residual_counts(weights: Path, paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """(levels, 2 REACH + 1) occurrences of each rounded residual, and the scale of each level."""
    model = zoo.load("mbt2018-mean", weights=weights)
    adapter = adapter_class(model)(model)
    side_coder = LatentCoder(adapter.side_density, RULES["int"])
    scales = adapter.main_density.scales
    counts = np.zeros((len(scales), 2 * REACH + 1))
    for path in paths:
        y = adapter.analysis(read_image(path)[..., :512, :768])
        z = adapter.hyper_analysis(y)
        shape = tuple(z.shape[1:])
        side = side_coder.quantize(z.numpy().ravel(), channel_prior(adapter.side_density, shape))
        given = adapter.estimate(adapter.features(side.hat, shape), y.numpy().ravel())
        residual = np.rint(y.numpy().ravel() - given.means.ravel()).astype(int)
        levels = adapter.levels(given.scales)
        np.add.at(counts, (levels, np.clip(residual, -REACH, REACH) + REACH), 1)
    return counts, scales


def bits(
    counts: np.ndarray, scales: np.ndarray, tails: list[tuple[float, float]], floor: float
) -> float:
    """Rate of the counts under contaminated Gaussians with a smallest probability."""
    distance = np.abs(np.arange(-REACH, REACH + 1))[None, :]
    p = np.full(counts.shape, 0.0)
    for weight, ratio in [(1 - sum(w for w, _ in tails), 1.0), *tails]:
        width = ratio * scales[:, None]
        p += weight * (ndtr((0.5 - distance) / width) - ndtr((-0.5 - distance) / width))
    return -(counts * np.log2(np.maximum(p, floor))).sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", nargs="+", default=["../shared/weights/lab-mean-*.pt"])
    parser.add_argument("--images", type=int, default=8)
    args = parser.parse_args()
    paths = list(datasets.resolve("clic2020").paths[: args.images])
    found = [residual_counts(path, paths) for path in zoo.checkpoints(args.weights)]
    bare = [bits(c, s, [], 2.0**-16) for c, s in found]
    rows = []
    for ratio, weight, far in product(RATIOS, WEIGHTS, FAR):
        tails = [(weight, ratio), far]
        change = [bits(c, s, tails, 2.0**-30) / b - 1 for (c, s), b in zip(found, bare)]
        rows.append((float(np.mean(change)), tails, change))
    for mean, tails, change in sorted(rows)[:10]:
        print(f"{mean:+.3%}  tails={tails}  " + " ".join(f"{c:+.3%}" for c in change))


if __name__ == "__main__":
    main()
