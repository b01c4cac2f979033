"""Table 4: directions of the shift that a decoder knows, against random ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tables.common.experiment import Cell, CodecExperiment, Request, attempt
from tables.common.harness import bd_psnr
from tables.common.latents import STEP_BITS, View, best_alone, plain, random_direction
from tables.common.plots import bars
from tables.common.probes import Measure, Probe, curve, db, file_of, label, probed
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

COLUMNS = {"random": "random", "scalar": "scalar", "sign": "sign", "latent shift": "density"}
"""Column, and direction."""

PUBLISHED = {
    "bmshj2018-factorized": (0.0002, 0.0036, 0.0151, 0.0297),
    "mbt2018-mean": (0.0006, 0.0007, 0.0339, 0.0705),
}
_AT_ONCE = 32
"""Random directions held in memory together."""


def prepare(model: nn.Module, seeds: int) -> Measure:
    """Rate and PSNR of rounding, and PSNR after a shift along each direction."""
    codec = plain(model)

    def measure(x: Tensor) -> dict[str, float]:
        view = View(codec, x)
        errors = {
            "none": view.error(view.y_hat),
            "random": _random(view, seeds),
            "scalar": best_alone(view, torch.ones_like(view.y_hat))[1],
            "sign": best_alone(view, view.decodable("sign"))[1],
            "density": best_alone(view, view.decodable("density"))[1],
        }
        found = {f"{name} psnr_db": db(error) for name, error in errors.items()}
        return {"bpp": view.bits / view.pixels, "step_bpp": STEP_BITS / view.pixels, **found}

    return measure


def _random(view: View, seeds: int) -> float:
    """The least error along any of the random directions."""
    least = []
    for first in range(0, seeds, _AT_ONCE):
        of = range(first, min(first + _AT_ONCE, seeds))
        directions = torch.cat([random_direction(view.y_hat, seed) for seed in of])
        least.append(best_alone(view, directions)[1])
    return min(least)


def probe(seeds: int) -> Probe:
    names = ("none", *COLUMNS.values())
    quantities = ("bpp", "step_bpp", *(f"{name} psnr_db" for name in names))
    return Probe(f"directions-{seeds}", quantities, partial(prepare, seeds=seeds))


class Table4(CodecExperiment):
    """BD-PSNR of the means, against rounding; the step size, and the seed, are paid for."""

    name = "table4"
    title = "directions of the shift, BD-PSNR in dB"
    source = f"{PAPER}, Table 4 (Kodak, 1024 random directions)"
    notes = (
        "Of the random directions the best is taken. Rates are ideal, plus 8 bits for the step "
        "size, and the seed. PSNR is of images not rounded to 8 bits, and steps are the best of "
        "six multiples of the closed form's.",
    )
    columns = dict.fromkeys(COLUMNS, "dB")

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        for seeds in _counts(subject, request):
            asked = replace(request, run=request.run and seeds == request.seeds)
            rows = probed(probe(seeds), subject, asked)
            if not rows.empty:
                row = f"{label(subject, rows, request)}, best of {seeds}"
                means = curve(rows, probe(seeds).quantities)
                yield from _row(row, seeds, means, self.published(subject, request))

    def published(self, subject: Subject, request: Request) -> dict[str, float]:
        numbers = PUBLISHED.get(subject.architecture, ()) if request.data == "kodak" else ()
        return dict(zip(COLUMNS, numbers))

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars(cells, path, self.title)


def _counts(subject: Subject, request: Request) -> list[int]:
    """How many random directions were asked for, or measured before."""
    found = {request.seeds}
    for folder in (request.rows, request.committed):
        path = file_of(probe(0), subject, request, folder)  # …/directions-0/kodak/codec.csv
        same = Path("directions-*", *path.parts[-2:])
        found |= {int(f.parts[-3].split("-")[1]) for f in path.parents[2].glob(str(same))}
    return sorted(found)


def _row(
    row: str, seeds: int, means: pd.DataFrame, published: Mapping[str, float]
) -> Iterator[Cell]:
    base, none = means["bpp"].to_numpy(), means["none psnr_db"].to_numpy()
    for column, name in COLUMNS.items():
        share = 1 + np.log2(seeds) / STEP_BITS if name == "random" else 1.0
        paid = (means["bpp"] + share * means["step_bpp"]).to_numpy()
        psnr = means[f"{name} psnr_db"].to_numpy()
        value, note = attempt(partial(bd_psnr, base, none, paid, psnr))
        yield Cell(row, column, value, published.get(column), "dB", note)


EXPERIMENT = Table4()
