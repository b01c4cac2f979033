"""Figures 5 and 6, the linear model: rounding (Q), dither (UQ), and soft rounding with it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tables.common.experiment import Cell, Experiment, Request
from tables.common.harness import means
from tables.common.plots import canvas, save
from tables.universal import PAPER
from tables.universal.codecs.measured import Way, curves, differences
from tables.universal.codecs.measured import measured as rows_of_ways

IMAGES = ("kodim03", "kodim16", "kodim23")
"""Those of the paper's pages of this model, Figures 7 to 9."""

WAYS = {
    "UN + Q": Way("linear-un", "int"),
    "UN + UQ": Way("linear-un", "dither"),
    "UN + UQ + means": Way("linear-un", "dither+mean", IMAGES),
    "UN + UQ + SR": Way("linear-sr", "dither+soft"),
    "UN + SR, rounded": Way("linear-sr", "int"),
    "UN + UQ + SR + means": Way("linear-sr", "dither+soft+mean", IMAGES),
    "α annealed, gradients drawn": Way("linear-sr-no-eg", "dither+soft", IMAGES),
    "α 16, gradients expected": Way("linear-sr16", "dither+soft", IMAGES),
    "α 16, gradients drawn": Way("linear-sr16-no-eg", "dither+soft", IMAGES),
    "orthogonal start, UN + Q": Way("orthogonal-un", "int", IMAGES),
    "orthogonal start, UN + UQ": Way("orthogonal-un", "dither", IMAGES),
    "orthogonal start, UN + UQ + SR": Way("orthogonal-sr", "dither+soft", IMAGES),
}


def measured(request: Request) -> dict[str, pd.DataFrame]:
    """Rows of each way."""
    return rows_of_ways(WAYS, "linear", request)


class Linear(Experiment):
    """Means of each curve's points, and Bjøntegaard differences."""

    name = "linear"
    title = "the linear model: rounding, dither, soft rounding"
    source = f"{PAPER}, Figures 5 and 6, plots without numbers"
    notes = (
        f"Bytes written. Ways of three images are of {', '.join(IMAGES)}. BD-rates are against "
        "UN + Q, on the images that both have. The paper's models were trained for much longer, "
        "on other photographs.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        found = measured(request)
        if not found:
            yield Cell("linear", "bpp", note="python -m tables.universal.codecs.train linear-un")
        yield from curves(found)
        yield from differences(found, "UN + Q")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(2, width=13)
        for way, rows in measured(replace(request, run=False)).items():
            curve = means(rows[rows["image"].map(_is_shown)]).sort_values("bpp")
            for axes, quality in zip(panels, ("psnr_db", "ms_ssim")):
                axes.plot(curve["bpp"], curve[quality], marker=".", label=way)
                axes.set(xlabel="bits per pixel", ylabel=quality, title=", ".join(IMAGES))
        panels[0].legend(fontsize="small")
        save(figure, path)


def _is_shown(image: str) -> bool:
    return Path(image).stem in IMAGES


EXPERIMENT = Linear()
