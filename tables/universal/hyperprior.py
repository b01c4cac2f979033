"""Figure 6, the hyperprior model: the embedded mean-scale hyperprior, trained on by noise or SR."""

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

IMAGES = ("kodim03", "kodim16")

_UN, _SR = "hyperprior-un", "hyperprior-sr"
WAYS = {
    "UN + Q": Way(_UN, "int", IMAGES),
    "UN + UQ": Way(_UN, "dither", IMAGES),
    "UN + UQ + SR": Way(_SR, "dither+soft", IMAGES),
    "UN + SR, rounded": Way(_SR, "int", IMAGES),
}


def measured(request: Request) -> dict[str, pd.DataFrame]:
    """Rows of each way."""
    return rows_of_ways(WAYS, "hyperprior", request)


class Hyperprior(Experiment):
    """Means of each curve's points, and Bjøntegaard differences where there are four."""

    name = "hyperprior"
    title = "a hyperprior model: rounding, dither, soft rounding"
    source = f"{PAPER}, Figure 6, a plot without numbers"
    notes = (
        f"Bytes written, of {' and '.join(IMAGES)}. BD-rates are against UN + Q. The embedded "
        "mean-scale hyperprior, trained on from its weights for a minute; the paper's was trained "
        "from the beginning, for much longer.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        found = measured(request)
        if not found:
            yield Cell("hyperprior", "bpp", note="python -m tables.universal.codecs.train")
        yield from curves(found)
        yield from differences(found, "UN + Q")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, [axes] = canvas()
        for way, rows in measured(replace(request, run=False)).items():
            curve = means(rows).sort_values("bpp")
            axes.plot(curve["bpp"], curve["psnr_db"], marker=".", label=way)
        axes.set(xlabel="bits per pixel", ylabel="PSNR, dB", title=self.title)
        axes.legend()
        save(figure, path)


EXPERIMENT = Hyperprior()
