"""What E[y | y + U] gains in the latent: for Gaussian sources, by lattice and sharpness."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from latentopt.densities import GaussianDensity
from latentopt.latents import AtOnce, Point, Prior
from latentopt.latents.dither import DitherChannel
from latentopt.lattices import RULES
from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import bars
from tables.common.probes import db
from tables.universal import PAPER

SPREADS = (0.2, 0.5, 1.0, 2.0)
WAYS = {"int": 0.0, "int, α = 4": 4.0, "int, α = 16": 16.0, "hex": 0.0, "e8": 0.0}
"""Lattice, and alpha of soft rounding before it."""
_SAMPLES = 160_000


def _error(lattice: str, spread: float, alpha: float, mean: bool) -> float:
    """Mean squared error of what arrives."""
    density = GaussianDensity(np.array([spread]), tails=())
    values = spread * np.random.default_rng(0).standard_normal(_SAMPLES)
    prior = Prior((1, 1, _SAMPLES), np.zeros(_SAMPLES, np.int16), np.zeros(_SAMPLES))
    own = DitherChannel(density, RULES[lattice], 1, alpha, mean)
    return float(np.square(own.send(AtOnce(prior), Point(values)).hat - values).mean())


class Means(Experiment):
    """Error of the latent without means over that with them."""

    name = "means"
    medium = None
    title = "what means of a dithered latent gain"
    source = f"{PAPER} has none of it: beyond the paper"
    notes = (
        "dB of the latent's squared error, by which E[y | z] is nearer to y than the point z that "
        f"arrived (of soft rounding: than r(z)). Gaussian sources of {_SAMPLES} elements. Lattices "
        "are `int` where the source is narrower than half a cell.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for spread in SPREADS:
            for way, alpha in WAYS.items():
                given = way.split(",")[0], spread, alpha
                gain = db(_error(*given, True), _error(*given, False))
                yield Cell(f"σ = {spread:g}", way, gain, unit="dB")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars(cells, path, self.title)


EXPERIMENT = Means()
