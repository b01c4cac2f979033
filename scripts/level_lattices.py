"""Which lattice is best at which spread: the table behind quant="auto".

For Gaussians (or Laplace densities) of many spreads, and for two weights of the error (bits per
squared unit: about what elements of little and of much rate have in trained codecs), each lattice's
points are chosen by rate and distortion, priced with the tables that the coder would use, and
decoded at the best multiple of the point. Printed is rate + weight * error per element, less that
of ``int``.

    python scripts/level_lattices.py [--density laplace]
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from common import head, line, run

from latentopt.densities import GaussianDensity, LaplaceDensity, ScaleDensity
from latentopt.encoder.choice import Vectors
from latentopt.encoder.prices import CoordinateBits
from latentopt.lattices import LATTICES, Lattice
from latentopt.pmf import build_table

SPREADS = [0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.5, 3.0, 10.0]
WEIGHTS = [4.0, 8.0]
DENSITIES: dict[str, type[GaussianDensity] | type[LaplaceDensity]] = {
    "gaussian": GaussianDensity,
    "laplace": LaplaceDensity,
}


def cost(
    lattice: Lattice, bits: CoordinateBits, density: ScaleDensity, level: int,
    samples: torch.Tensor, weight: float,
) -> float:  # fmt: skip
    """Rate + weight * squared error per element of ``samples`` (n,)."""
    target = samples.reshape(-1, lattice.dim)
    levels = torch.full((len(target),), level)
    vectors = Vectors(lattice, bits, levels, torch.full_like(target, weight))
    m = vectors.cheapest(target)
    points = lattice.points(m)
    scale = (points * target).sum() / points.square().sum().clamp(min=1e-9)
    error = float((target - scale * points).square().mean())
    table = build_table(density, level, lattice)
    rate, _ = table.bits(m.numpy().astype(np.int32))
    return float(rate.sum() / len(samples)) + weight * error


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=480_000)
    parser.add_argument("--density", choices=list(DENSITIES), default="gaussian")
    parser.add_argument("--spreads", nargs="+", type=float, default=SPREADS)
    args = parser.parse_args(argv)
    kind = DENSITIES[args.density]
    density = kind(np.array(args.spreads) / kind.deviation)
    prices = {name: CoordinateBits(density, lattice) for name, lattice in LATTICES.items()}
    generator = np.random.default_rng(0)
    for weight in WEIGHTS:
        print("\n" + head(f"weight {weight:g}, spread", *LATTICES))
        for level, spread in enumerate(args.spreads):
            drawn = density.draw(np.full(args.samples, level), generator)
            samples = torch.from_numpy(drawn).float()
            costs = [
                cost(lattice, prices[name], density, level, samples, weight)
                for name, lattice in LATTICES.items()
            ]
            less = (f"{c - costs[0]:+.4f}" for c in costs[1:])
            print(line(f"{spread:g}", f"{costs[0]:.4f}", *less), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
