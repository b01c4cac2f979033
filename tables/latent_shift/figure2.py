"""Figure 2: rate and distortion of the lattices on uniform and Gaussian sources."""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from latentopt.densities import GaussianDensity
from latentopt.lattices import LATTICES, Lattice
from latentopt.pmf import build_table
from tables.common.experiment import Cell, Experiment, Request
from tables.common.harness import bd_psnr, bd_rate
from tables.common.plots import canvas, save
from tables.common.probes import db
from tables.latent_shift import PAPER

SPREADS = (0.3, 0.4, 0.55, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Standard deviations of the Gaussian, in cells: its rate points."""

WIDTHS = (64, 128, 256, 512)
"""Widths of the uniform source, in cells, so many that those at its ends do not matter."""

SAMPLES = 240_000
SOURCES = ("uniform", "Gaussian")
_QUANTITIES = ("source", "lattice", "rate", "snr_db")


@cache
def measure(samples: int = SAMPLES) -> pd.DataFrame:
    """Bits per element and SNR, one row per source, lattice and rate point."""
    rng = np.random.default_rng(0)
    flat, normal = rng.uniform(-100, 100, samples), rng.standard_normal(samples)
    rows = []
    for name, lattice in LATTICES.items():
        noise = _error(lattice, flat)
        for width in WIDTHS:
            rows.append(("uniform", name, math.log2(width), db(noise, width**2 / 12)))
        for spread in (s for s in SPREADS if s >= lattice.min_scale):
            values = spread * normal  # the same for all, so that their noise cancels
            snr = db(_error(lattice, values), spread**2)
            rows.append(("Gaussian", name, _rate(lattice, spread, values), snr))
    return pd.DataFrame(rows, columns=list(_QUANTITIES))


def _points(lattice: Lattice, values: NDArray[np.float64]) -> torch.Tensor:
    """Nearest points (n / v, v), as integer coordinates."""
    return lattice.nearest(torch.from_numpy(values).reshape(-1, lattice.dim))


def _error(lattice: Lattice, values: NDArray[np.float64]) -> float:
    """Mean squared error per element of values (n,)."""
    points = lattice.points(_points(lattice, values).double())
    return float((torch.from_numpy(values).reshape(points.shape) - points).square().mean())


def _rate(lattice: Lattice, spread: float, values: NDArray[np.float64]) -> float:
    """Bits per element with the cells' own probabilities, those of the coder's tables."""
    density = GaussianDensity(np.array([spread]), tails=())
    bits, _ = build_table(density, 0, lattice).bits(
        _points(lattice, values).numpy().astype(np.int32)
    )
    return float(bits.mean() / lattice.dim)


class Figure2(Experiment):
    """Gains over rounding: of the SNR at equal rate, and of the rate at equal SNR."""

    name = "figure2"
    medium = None
    title = "lattices on uniform and Gaussian sources"
    source = f"{PAPER}, Figure 2, a plot without numbers"
    notes = (
        f"{SAMPLES} samples per point. Uniform: wide against a cell, so the rate is log2 of the "
        "width and the gain the ratio of second moments. Gaussian: standard deviations of "
        f"{SPREADS[0]:g} to {SPREADS[-1]:g} cells, of d4 and e8 where the codec uses them.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        found = measure()
        for source in SOURCES:
            curves = {
                name: (part["rate"].to_numpy(), part["snr_db"].to_numpy())
                for name, part in found[found["source"] == source].groupby("lattice", sort=False)
            }
            for name in list(curves)[1:]:
                pair = (*curves["int"], *curves[name])
                yield Cell(f"{source}: {name}", "BD-SNR", bd_psnr(*pair), None, "dB")
                yield Cell(f"{source}: {name}", "BD-rate", bd_rate(*pair), None, "%")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        """SNR above that of rounding at the same rate: the curves themselves lie on each other."""
        found = measure()
        figure, panels = canvas(2, width=12)
        for axes, source in zip(panels, SOURCES):
            here = found[found["source"] == source]
            base = here[here["lattice"] == "int"]
            for name, part in here.groupby("lattice", sort=False):
                plain = PchipInterpolator(base["rate"], base["snr_db"], extrapolate=False)
                gain = part["snr_db"] - plain(part["rate"])
                axes.plot(part["rate"], gain, marker=".", label=str(name))
            axes.set(title=f"{source} source", xlabel="bits per element", ylabel="SNR gain, dB")
            axes.legend()
        save(figure, path)


EXPERIMENT = Figure2()
