"""Figures 5 and 6, the linear model: rounding (Q), dither (UQ), and soft rounding with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from tables.common.experiment import Cell, Experiment, Request, attempt
from tables.common.harness import RatePoint, bd_rate, means
from tables.common.plots import canvas, save
from tables.common.rows import rows_of
from tables.common.subjects import Subject
from tables.universal import PAPER
from tables.universal.codecs.train import RUNS, Curve, trained

IMAGES = ("kodim03", "kodim16", "kodim23")
"""Those of the paper's pages of this model."""

WAYS = {
    "UN + Q": ("linear-un", "int"),
    "UN + UQ": ("linear-un", "dither"),
    "UN + UQ + means": ("linear-un", "dither+mean"),
    "UN + UQ + SR": ("linear-sr", "dither+soft"),
    "UN + SR, rounded": ("linear-sr", "int"),
    "UN + UQ + SR + means": ("linear-sr", "dither+soft+mean"),
    "α annealed, gradients drawn": ("linear-sr-no-eg", "dither+soft"),
    "α 16, gradients expected": ("linear-sr16", "dither+soft"),
    "α 16, gradients drawn": ("linear-sr16-no-eg", "dither+soft"),
}
"""Trained curve and configuration."""

PUBLISHED = {
    "kodim03": {
        "UN + Q": (0.672, 34.33),
        "UN + UQ": (0.762, 32.79),
        "UN + UQ + SR": (0.562, 33.60),
    },
    "kodim16": {
        "UN + Q": (0.750, 33.09),
        "UN + UQ": (0.836, 32.22),
        "UN + UQ + SR": (0.623, 32.54),
    },
    "kodim23": {
        "UN + Q": (0.674, 34.71),
        "UN + UQ": (0.778, 33.05),
        "UN + UQ + SR": (0.572, 33.98),
    },
}
"""Bits per pixel and PSNR of the paper's pages of this model, Figures 7 to 9."""


@dataclass(frozen=True)
class _Load:
    """Load a trained point; equal, in any process, to what loads the same."""

    curve: str
    number: int

    def __call__(self) -> nn.Module:
        return trained(self.curve, self.number)


def subject_of(curve: str) -> Subject:
    """Its points that were trained."""
    count = len(Curve.named(curve).lambdas)
    here = [k for k in range(1, count + 1) if (RUNS / f"{curve}-{k}.best.pt").is_file()]
    points = tuple(RatePoint(f"{curve}-{k}", _Load(curve, k)) for k in here)
    return Subject(curve, curve, points, architecture="linear", needs=f"needs {RUNS}/{curve}-*")


def measured(request: Request) -> dict[str, pd.DataFrame]:
    """Rows of each way, without those that have none."""
    paths = tuple(path for path in request.dataset.paths if path.stem in IMAGES)
    asked = replace(request, dataset=replace(request.dataset, paths=paths))
    configs: dict[str, list[str]] = {}
    for curve, config in WAYS.values():
        configs.setdefault(curve, []).append(config)
    subjects = {curve: subject_of(curve).shown_in(request) for curve in configs}
    rows = {curve: rows_of(subjects[curve], own, asked) for curve, own in configs.items()}
    found = {way: rows[c][rows[c]["config"] == config] for way, (c, config) in WAYS.items()}
    return {way: own for way, own in found.items() if len(own)}


class Linear(Experiment):
    """Means of each curve's points, Bjøntegaard differences, and the paper's pages beside."""

    name = "linear"
    title = "the linear model: rounding, dither, soft rounding"
    source = f"{PAPER}, Figures 5 to 9"
    notes = (
        "Bytes written, of the three images of the paper's pages. BD-rates are against UN + Q. "
        "Rows of images are the trained point whose rate is nearest to the published one. The "
        "paper's models were trained for much longer, on other photographs.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        found = measured(request)
        if not found:
            yield Cell("linear", "bpp", note="python -m tables.universal.codecs.train linear-un")
        for way, rows in found.items():
            for _, point in means(rows).sort_values("bpp").iterrows():
                for column, unit in (("bpp", ""), ("psnr_db", ""), ("ms_ssim", "")):
                    yield Cell(f"{way}, {point['point']}", column, point[column], unit=unit)
        yield from _differences(found)
        yield from _pages(found)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(2, width=13)
        for way, rows in measured(replace(request, run=False)).items():
            curve = means(rows).sort_values("bpp")
            for axes, quality in zip(panels, ("psnr_db", "ms_ssim")):
                axes.plot(curve["bpp"], curve[quality], marker=".", label=way)
                axes.set(xlabel="bits per pixel", ylabel=quality)
        panels[0].legend(fontsize="small")
        save(figure, path)


def _differences(found: dict[str, pd.DataFrame]) -> Iterator[Cell]:
    """BD-rate of each way against rounding, in both qualities."""
    base = found.get("UN + Q")
    for way, rows in found.items():
        if base is None or way == "UN + Q" or rows["point"].nunique() < 4:
            continue
        for column, quality in (("BD-rate, PSNR", "psnr_db"), ("BD-rate, MS-SSIM", "ms_ssim")):
            curves = [means(own).sort_values("bpp") for own in (base, rows)]
            given = [curve[q].to_numpy() for curve in curves for q in ("bpp", quality)]
            if quality == "ms_ssim":
                given[1::2] = [-10 * np.log10(1 - own) for own in given[1::2]]
            value, why = attempt(lambda given=given: bd_rate(*given))  # type: ignore[misc]
            yield Cell(way, column, value, note=why)


def _pages(found: dict[str, pd.DataFrame]) -> Iterator[Cell]:
    """Of the paper's pages, the point that is nearest in rate."""
    for image, ways in PUBLISHED.items():
        for way, (bpp, psnr) in ways.items():
            rows = found.get(way, pd.DataFrame(columns=["image", "bpp"]))
            own = rows[rows["image"].astype(str).str.startswith(image)]
            if len(own):
                nearest = own.loc[(own["bpp"] - bpp).abs().idxmin()]
                yield Cell(f"{image}, {way}", "bpp", nearest["bpp"], bpp, "")
                yield Cell(f"{image}, {way}", "psnr_db", nearest["psnr_db"], psnr, "")


EXPERIMENT = Linear()
