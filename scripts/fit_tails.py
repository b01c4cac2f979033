"""Fit the contamination of the Gaussians (latentopt.densities.scale.TAILS) on CLIC photographs.

Run: python scripts/fit_tails.py [--weights lab-mean-*.pt]
Counts how often each integer residual occurs at each level, prices the counts under every candidate
and prints the rate of `int` against 16-bit tables of the bare Gaussians: of the ten best, and of
those that the format has, which every stream depends on. Never run it on Kodak.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from common import WEIGHTS, add_images, cut, images, main_latent, run
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

import latentopt
from latentopt import zoo
from latentopt.densities import ScaleDensity
from latentopt.densities.scale import TAILS

REACH = 1000
RATIOS, WEIGHT_OF_TAIL = (2.0, 2.5, 3.0, 4.0), (0.001, 0.002, 0.004, 0.008)
FAR = ((0.0, 1.0), (1e-5, 10.0), (1e-4, 8.0))

Tails = tuple[tuple[float, float], ...]
"""Weight and ratio of scales of each wider Gaussian."""


@dataclass(frozen=True)
class Counts:
    """Occurrences of rounded residuals."""

    scales: NDArray[np.float64]  # (levels,)
    of: NDArray[np.float64]  # (levels, 2 REACH + 1)

    def bits(self, tails: Tails, floor: float) -> float:
        """Rate under contaminated Gaussians with a smallest probability."""
        distance = np.abs(np.arange(-REACH, REACH + 1))[None, :]
        p = np.full(self.of.shape, 0.0)
        for weight, ratio in [(1 - sum(w for w, _ in tails), 1.0), *tails]:
            width = ratio * self.scales[:, None]
            p += weight * (ndtr((0.5 - distance) / width) - ndtr((-0.5 - distance) / width))
        return float(-(self.of * np.log2(np.maximum(p, floor))).sum())


def residual_counts(weights: Path, x: Sequence[Tensor]) -> Counts:
    """Of a codec's main latents."""
    codec = latentopt.wrap(zoo.load("mbt2018-mean", weights=weights), "int", shift=False)
    density = codec.assembly.channels[0].density
    assert isinstance(density, ScaleDensity)
    counts = np.zeros((density.levels, 2 * REACH + 1))
    for image in x:
        main = main_latent(codec, image)
        prior = main.walk.estimate(main.y)
        residual = np.rint(prior.residual(main.y)).astype(int)
        np.add.at(counts, (prior.levels, np.clip(residual, -REACH, REACH) + REACH), 1)
    return Counts(density.scales, counts)


def candidates() -> Iterator[Tails]:
    """All that are tried."""
    for ratio, weight, far in product(RATIOS, WEIGHT_OF_TAIL, FAR):
        yield (weight, ratio), far


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", nargs="+", default=[str(WEIGHTS / "lab-mean-*.pt")])
    add_images(parser, "clic2020", limit=8)
    args = parser.parse_args(argv)
    x = [cut(image) for image in images(args)]
    found = [residual_counts(path, x) for path in zoo.checkpoints(args.weights)]
    bare = [counts.bits((), 2.0**-16) for counts in found]
    rows = []
    for tails in candidates():
        change = [counts.bits(tails, 2.0**-30) / b - 1 for counts, b in zip(found, bare)]
        rows.append((float(np.mean(change)), tails, change))
    rows.sort()
    for mean, tails, change in [*rows[:10], *(row for row in rows if row[1] == TAILS)]:
        print(f"{mean:+.3%}  tails={tails}  " + " ".join(f"{c:+.3%}" for c in change))


if __name__ == "__main__":
    run(main)
