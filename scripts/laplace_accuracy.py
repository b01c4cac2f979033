"""How exact the product form of lattice cells is for Laplace densities, by spread.

    python scripts/laplace_accuracy.py [--samples 4000000]

Printed is what the product form costs beyond the entropy of the nearest points, in percent: for
hex and oct by integration over their cells, for d4 and e8 from samples, up to a spread where most
points are seen often. `joint` says that the coder has an exact table there, and does not pay it.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from common import head, lattice_points, line, run
from numpy.typing import NDArray

from latentopt.densities import LaplaceDensity
from latentopt.lattices import LATTICES, Lattice
from latentopt.pmf import JointTable, build_table, cell_probabilities

SPREADS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4)
MAX_CELLS = 200_000
MAX_SAMPLED = 0.5  # spread; beyond it the samples' entropy is too low
_BATCH = 500_000


def integrated(lattice: Lattice, density: LaplaceDensity) -> float:
    """KL divergence of the product form from the cells' probabilities, over their entropy."""
    m = _cells(lattice, density)
    p = np.maximum(cell_probabilities(density, 0, lattice, m), 1e-300)
    q = density.smoothed(0, m * np.array(lattice.units), lattice.second_moment).prod(axis=1)
    entropy = -(p * np.log(p)).sum()
    return float((p * np.log(p / (q / q.sum()))).sum() / entropy)


def _cells(lattice: Lattice, density: LaplaceDensity) -> NDArray[np.int64]:
    """Coordinates (n, v) of all points whose cells matter."""
    return lattice_points(lattice, density.support(0)[1])


def sampled(lattice: Lattice, density: LaplaceDensity, samples: int) -> float:
    """The same from the frequencies of samples, with Miller and Madow's correction."""
    rng, seen = np.random.default_rng(0), []
    for _ in range(max(1, samples // _BATCH)):
        drawn = density.draw(np.zeros(_BATCH * lattice.dim, dtype=int), rng)
        x = torch.from_numpy(drawn.reshape(_BATCH, lattice.dim)).float()
        seen.append(lattice.nearest(x).numpy().astype(np.int16))
    m, counts = np.unique(np.concatenate(seen), axis=0, return_counts=True)
    p = counts / counts.sum()
    entropy = -(p * np.log2(p)).sum() + (len(p) - 1) / (2 * counts.sum() * np.log(2))
    bits, _ = build_table(density, 0, lattice).bits(m.astype(np.int32))
    return float((p * bits).sum() / entropy - 1)


def _cell(lattice: Lattice, density: LaplaceDensity, samples: int) -> str:
    """One figure, where there is one."""
    if lattice.pieces:
        if len(_cells(lattice, density)) > MAX_CELLS:
            return ""
        price = integrated(lattice, density)
    elif density.spread(0) > MAX_SAMPLED:
        return ""
    else:
        price = sampled(lattice, density, samples)
    joint = isinstance(build_table(density, 0, lattice), JointTable)
    return f"{100 * price:.3f}{' (joint)' if joint else ''}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4_000_000)
    parser.add_argument("--spreads", nargs="+", type=float, default=SPREADS)
    args = parser.parse_args(argv)
    names = [name for name in LATTICES if name != "int"]
    print(head("spread", *names))
    for spread in args.spreads:
        density = LaplaceDensity(np.array([spread / LaplaceDensity.deviation]), tails=())
        cells = [_cell(LATTICES[name], density, args.samples) for name in names]
        print(line(str(spread), *cells), flush=True)


if __name__ == "__main__":
    run(main)
