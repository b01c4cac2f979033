"""Equations 29 and 30: what Gaussian noise costs where its widths are drawn, too."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from latentopt.densities import GaussianDensity
from latentopt.latents import AtOnce, Channel, Point, Prior
from latentopt.latents.dither import DitherChannel, GaussChannel
from latentopt.latents.dither.gauss import widths
from latentopt.lattices import RULES
from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import bars
from tables.universal import PAPER

SIGMA = 1 / np.sqrt(12)
"""Of the noise: that of rounding."""
SPREADS = (0.3, 1.0, 3.0, 10.0)
_SAMPLES = 200_000


def _written(channel: Channel, spread: float) -> float:
    """Bits per element of a Gaussian source."""
    values = spread * np.random.default_rng(0).standard_normal(_SAMPLES)
    prior = Prior((1, 1, _SAMPLES), np.zeros(_SAMPLES, np.int16), np.zeros(_SAMPLES))
    return 8 * len(channel.send(AtOnce(prior), Point(values)).string()) / _SAMPLES


def _noisy(spread: float, size: float) -> float:
    """I[Y, Y + size U], bits."""
    z = np.linspace(-8 * spread - size, 8 * spread + size, 100_001)
    mass = np.maximum(ndtr((z + size / 2) / spread) - ndtr((z - size / 2) / spread), 1e-300)
    return float(-(mass * np.log2(mass)).sum() * (z[1] - z[0]) / size)


class GaussianNoise(Experiment):
    """Bits per element of Gaussian sources."""

    name = "gaussian_noise"
    medium = None
    title = "Gaussian noise by a dither"
    source = f"{PAPER}, Section 3.3, equations 29 and 30, which have no numbers"
    notes = (
        f"Gaussian sources, noise of the deviation {SIGMA:.4f}, {_SAMPLES} elements. I[Y, (Z, S)] "
        "is what a channel pays that draws widths S, I[Y, Z] the least that such noise costs; "
        "`uniform` is a dither of integers, whose noise has the same variance.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for spread in SPREADS:
            row, density = f"σ = {spread:g}", GaussianDensity(np.array([spread]), tails=())
            found = {
                "written": _written(GaussChannel(density, 1, SIGMA), spread),
                "I[Y, (Z, S)]": float(np.mean([_noisy(spread, s) for s in widths(SIGMA)])),
                "I[Y, Z]": 0.5 * np.log2(1 + (spread / SIGMA) ** 2),
                "uniform, written": _written(DitherChannel(density, RULES["int"], 1), spread),
                "uniform, I[Y, Z]": _noisy(spread, 1.0),
            }
            yield from (Cell(row, column, float(v), unit="") for column, v in found.items())

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars(cells, path, self.title)


EXPERIMENT = GaussianNoise()
