"""Do the gaps of a codec tell what latentopt gains on it? Meters and gains of all rate points."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from torch import Tensor, nn

from latentopt.bench.gaps import measure as gaps_of
from latentopt.codec.image import Codec
from latentopt.codec.recipe import ROUNDING
from latentopt.codec.wrap import wrap_image
from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import canvas, save
from tables.common.probes import Measure, Probe, curve, label, probed
from tables.common.rows import recorded
from tables.common.subjects import Subject
from tables.gaps import PAPER
from tables.latent_shift.figure4 import gains_at_points

METERS = {
    "zeros": "zeros",
    "discrete_2": "discrete gap, p = 2",
    "wasserstein": "entropy gap, Wasserstein",
    "kl_share": "entropy gap, % of bits, channels",
    "kl_levels_share": "entropy gap, % of bits, levels",
    "noise_db": "smoothness, dB of noise",
}
"""Columns that may tell something, and what the plot calls them."""

GAINS = {"scales": "corrected scales", "shift": "shift", "default": "preset default"}
"""The first of the same images, from the probe; the others of the rows that were measured."""

_DRAWN = ("discrete_2", "kl_levels_share", "noise_db")
_GAPS = (
    "bits",
    "zeros",
    "discrete_1",
    "discrete_2",
    "wasserstein",
    "kl_bits",
    "kl_levels_bits",
    "smoothness",
    "noise_db",
)


def prepare(model: nn.Module) -> Measure:
    """Gaps of an image, and the bytes that corrected scales save of it."""
    plain, corrected = (wrap_image(model, ROUNDING.but(scales=on)) for on in (False, True))

    def measure(x: Tensor) -> dict[str, float]:
        found = gaps_of(model, [x], draws=1).row()
        saved = 100 * (_bytes(corrected, x) / _bytes(plain, x) - 1)
        return {**{name: found[name] for name in _GAPS}, "scales": saved}

    return measure


def _bytes(codec: Codec, x: Tensor) -> int:
    return sum(len(string) for [string] in codec.compress(x)["strings"])


PROBE = Probe("gaps", (*_GAPS, "scales"), prepare)


def points(request: Request) -> pd.DataFrame:
    """A row for each rate point of each codec: meters and gains, means over its images."""
    found = [_points_of(subject, request) for subject in request.subjects]
    return pd.concat(found) if found else pd.DataFrame(columns=["label", *METERS, *GAINS])


def _points_of(subject: Subject, request: Request) -> pd.DataFrame:
    rows = probed(PROBE, subject, request)
    means = curve(rows, PROBE.quantities)
    means["kl_share"] = 100 * means["kl_bits"] / means["bits"]
    means["kl_levels_share"] = 100 * means["kl_levels_bits"] / means["bits"]
    coded = recorded(request.committed, request.dataset.name, subject.label)
    for config in list(GAINS)[1:]:
        gains = gains_at_points(coded, config)[0] if len(coded) else pd.Series(dtype=float)
        means[config] = [gains.get(place, math.nan) for place in means.index]
    return means.assign(label=label(subject, rows, request))


def coefficients(found: pd.DataFrame, meter: str, gain: str) -> tuple[float, float, int]:
    """Pearson's of values and of ranks, and of how many rate points that have both."""
    pair = found[[meter, gain]].dropna().to_numpy().T
    if pair.shape[1] < 3:
        return math.nan, math.nan, pair.shape[1]
    ranks = np.array([rankdata(values) for values in pair])
    return float(np.corrcoef(pair)[0, 1]), float(np.corrcoef(ranks)[0, 1]), pair.shape[1]


class GapGains(Experiment):
    """Meters and gains of each rate point, then coefficients between them."""

    name = "gap_gains"
    title = "gaps of codecs, and what latentopt gains on them"
    source = f"{PAPER} has none of it: beyond the paper"
    notes = (
        "Gains are negative: percent of the rate. `scales` are bytes of rounded latents with "
        "scales corrected per channel and image, of the images that the meters are of; `shift` and "
        "`default` are at equal PSNR, as in figure4, of all of Kodak. The meters are those of "
        "`latentopt gaps`, of each image by itself, then means. Coefficients are Pearson's, in "
        "rows `rank` those of ranks; the codecs are few, and points of one codec are alike.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        found = points(request)
        for (point, step), row in found.iterrows():
            place = f"{row['label']} {point}" + f", step {step:g}" * (step != 1)
            for column in METERS:
                yield Cell(place, column, float(row[column]), unit="")
            for column in GAINS:
                yield Cell(place, column, float(row[column]), unit="%")
        for gain in GAINS:
            for meter in METERS:
                value, ranks, count = coefficients(found, meter, gain)
                yield Cell(f"{gain}, {count} points", meter, value, unit="")
                yield Cell(f"{gain}, rank", meter, ranks, unit="")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        """A panel for each of some pairs; a colour for each codec."""
        found = points(request)
        figure, panels = canvas(len(_DRAWN) * len(GAINS), width=15)
        pairs = [(gain, meter) for gain in GAINS for meter in _DRAWN]
        for (gain, meter), axes in zip(pairs, panels):
            for name, part in found.groupby("label", sort=False):
                axes.plot(part[meter], part[gain], "o", label=str(name))
            value, ranks, count = coefficients(found, meter, gain)
            axes.set(title=f"r = {value:.2f}, of ranks {ranks:.2f}, of {count}")
            axes.set(xlabel=METERS[meter], ylabel=f"{GAINS[gain]}, % of the rate")
        panels[0].legend(fontsize="small")
        save(figure, path)


EXPERIMENT = GapGains()
