"""How accurate the cell tables are: masses, errors against sampling, price of the product form.

Run: python scripts/pmf_accuracy.py [--samples 100000000]
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from common import lattice_points, run
from compressai.models.base import get_scale_table
from tqdm import tqdm

from latentopt.densities import GaussianDensity
from latentopt.lattices import LATTICES, Lattice
from latentopt.pmf import JointTable, build_table, cell_probabilities

SCALES = (0.3, 0.5, 0.7, 0.85, 1.0)
_BATCH = 1 << 20


def largest_mass_error(lattice: Lattice) -> float:
    """Largest |total mass - 1| over the levels of CompressAI's scale table with a joint table."""
    density = GaussianDensity(get_scale_table().double().numpy())
    errors = []
    for level in range(density.levels):
        if isinstance(build_table(density, level, lattice), JointTable):
            core = density.core
            m = lattice_points(lattice, 7 * core.spread(level))
            errors.append(abs(cell_probabilities(core, level, lattice, m).sum() - 1))
    return max(errors)


@dataclass(frozen=True)
class Accuracy:
    """Of the exact integral against sampling."""

    mass_error: float
    """Total mass - 1."""
    largest: float
    """Absolute error of a cell."""
    in_noise: float
    """The same in standard deviations of what sampling alone would give."""


def exact_against_sampling(lattice: Lattice, sigma: float, samples: int, seed: int) -> Accuracy:
    """Errors of the cells' probabilities; those of cells that were hardly hit do not count."""
    density = GaussianDensity(np.array([sigma]), tails=())
    m = lattice_points(lattice, 7 * sigma)
    p = cell_probabilities(density, 0, lattice, m)
    low, shape = m.min(axis=0), np.ptp(m, axis=0) + 1
    place = np.ravel_multi_index(tuple((m - low).T), tuple(shape))
    generator = torch.Generator().manual_seed(seed)
    counts = np.zeros(int(np.prod(shape)), dtype=np.int64)
    batches = max(1, samples // _BATCH)
    for _ in range(batches):
        x = sigma * torch.randn(_BATCH, lattice.dim, generator=generator, dtype=torch.float64)
        found = np.clip(lattice.nearest(x).numpy() - low, 0, shape - 1)
        np.add.at(counts, np.ravel_multi_index(tuple(found.T), tuple(shape)), 1)
    n = batches * _BATCH
    error = counts[place] / n - p
    noise = np.sqrt(p * (1 - p) / n)
    seen = p * n > 100
    in_noise = (np.abs(error)[seen] / noise[seen]).max()
    return Accuracy(float(p.sum() - 1), float(np.abs(error).max()), float(in_noise))


def product_form_price(lattice: Lattice, sigma: float, samples: int, seed: int) -> float:
    """KL divergence of the product form from the true cell probabilities, over the entropy.

    Both depend on the norm of the point alone (the first for the cells up to their shape), so the
    true probabilities come from sampling norms: unbiased but for about (shells / samples).
    """
    counts: dict[int, int] = {}
    unit = min(lattice.units)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(max(1, samples // _BATCH)):
        x = sigma * torch.randn(_BATCH, lattice.dim, generator=generator)
        norms = lattice.nearest(x).square().sum(dim=1)
        for norm, n in zip(*(a.tolist() for a in torch.unique(norms, return_counts=True))):
            counts[norm] = counts.get(norm, 0) + n
    shells, sizes = _shells(lattice, max(counts))
    variance = sigma**2 + lattice.second_moment
    weights = np.exp(-shells * unit**2 / (2 * variance))
    q = weights / (weights * sizes).sum()
    total = sum(counts.values())
    p = np.array([counts.get(int(s), 0) / total for s in shells])  # of the whole shell
    seen = p > 0
    kl = (p[seen] * np.log(p[seen] / (q[seen] * sizes[seen]))).sum()
    entropy = -(p[seen] * np.log(p[seen] / sizes[seen])).sum()
    return float(kl / entropy)


def _shells(lattice: Lattice, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared norms of m up to ``largest`` and far beyond, and how many points have each.

    The theta series of each coset is a product of one-dimensional ones.
    """
    size = 4 * largest + 64
    total = np.zeros(size)
    for coset in lattice.cosets:
        series = np.zeros(size)
        series[0] = 1
        for shift in coset:
            axis = np.zeros(size)
            reach = int(np.sqrt(size)) + lattice.modulus
            for value in range(shift - reach * lattice.modulus, reach * lattice.modulus):
                if (value - shift) % lattice.modulus == 0 and value * value < size:
                    axis[value * value] += 1
            series = np.convolve(series, axis)[:size]
        total += series
    shells = np.flatnonzero(total)
    return shells, total[shells]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000_000)
    parser.add_argument("--kl-samples", type=int, default=30_000_000)
    args = parser.parse_args(argv)
    for name in ("hex", "oct"):
        error = largest_mass_error(LATTICES[name])
        print(f"{name}: largest |mass - 1| of all joint levels {error:.1e}")
    print("lattice  sigma   mass-1     max |error|  in noise units")
    for name, sigma in tqdm(list(product(("hex", "oct"), SCALES)), disable=None):
        found = exact_against_sampling(LATTICES[name], sigma, args.samples, seed=0)
        errors = f"{found.mass_error:10.1e} {found.largest:12.2e} {found.in_noise:8.2f}"
        print(f"{name:7} {sigma:6} {errors}")
    print("lattice  sigma   KL of the product form / entropy")
    for name, sigma in tqdm(list(product(("d4", "e8"), (0.5, 0.55, 0.6, 0.7))), disable=None):
        price = product_form_price(LATTICES[name], sigma, args.kl_samples, seed=0)
        print(f"{name:7} {sigma:6} {price:12.2e}")


if __name__ == "__main__":
    run(main)
