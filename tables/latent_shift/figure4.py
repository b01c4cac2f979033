"""Figures 4 and 8 to 11: what lattices and the shift gain at each quality of a codec."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.harness import BASELINE, means
from tables.common.plots import canvas, save
from tables.common.rows import rows_of
from tables.common.subjects import Subject
from tables.common.tangent import tangents
from tables.latent_shift import PAPER

COLUMNS = {"hex": "hex", "shift": "shift", "join": "hex+shift", "oct": "oct"}
"""Column and configuration; the paper has the first three."""


class Figure4(CodecExperiment):
    """Rate at equal PSNR, per rate point: means over the images, read on the baseline's curve."""

    name = "figure4"
    title = "gain at each quality, in percent of the rate"
    source = f"{PAPER}, Figures 4 (a, b) and 8 to 11, plots without numbers"
    notes = (
        "Rates are bytes written. A rate point is compared with the baseline's point of the same "
        "quality; its difference in PSNR counts as rate by the slope of the baseline's curve "
        "there, so that the first and the last quality have a gain too. `join` is hex+shift.",
    )
    columns = dict.fromkeys(["bpp"], "") | dict.fromkeys(COLUMNS, "%")

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        rows = rows_of(subject, [BASELINE, *COLUMNS.values()], request)
        if rows.empty:
            return
        base = _points(means(rows[rows["config"] == BASELINE]))
        gains = {column: gains_at_points(rows, config) for column, config in COLUMNS.items()}
        for place in base.sort_values("bpp").index:
            point, step = place
            row = f"{subject.label} {point}" + f", step {step:g}" * (len(subject.steps) > 1)
            yield Cell(row, "bpp", float(base.loc[place, "bpp"]), unit="")
            for column, (found, note) in gains.items():
                yield Cell(row, column, float(found.get(place, math.nan)), note=note)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        """One panel per codec: gain over the baseline's rate."""
        labels = [s.label for s in request.subjects]
        rows = {label: [c for c in cells if c.row.startswith(f"{label} ")] for label in labels}
        here = {label: own for label, own in rows.items() if own}
        figure, panels = canvas(max(1, len(here)), width=12)
        for (label, own), axes in zip(here.items(), panels):
            bpp = [c.measured for c in own if c.column == "bpp"]
            for column in COLUMNS:
                gains = [c.measured for c in own if c.column == column]
                axes.plot(bpp, gains, marker=".", label=column)
            axes.axhline(0.0, color="grey", linewidth=0.8)
            axes.set(title=label, xlabel="bits per pixel", ylabel="rate at equal PSNR, %")
            axes.legend()
        save(figure, path)


def gains_at_points(rows: pd.DataFrame, config: str) -> tuple[pd.Series, str]:
    """What a configuration gains per rate point, and what is to be said of it.

    Nothing where only some of the points were measured.
    """
    pair = means(rows[rows["config"].isin([BASELINE, config])])
    base, own = (_points(pair[pair["config"] == name]) for name in (BASELINE, config))
    if own.empty or len(own) < len(base):
        return pd.Series(dtype=float), "not measured"
    images, whole = int(pair["images"].iloc[0]), rows["image"].nunique()
    gains = [
        tangent.rate_percent(*own.loc[place])
        for place, tangent in zip(base.index, tangents(base, "bpp", "psnr_db"))
    ]
    return pd.Series(gains, base.index), f"{images} of {whole} images" * (images < whole)


def _points(curve: pd.DataFrame) -> pd.DataFrame:
    """Rate and PSNR of a configuration per rate point."""
    return curve.set_index(["point", "step"])[["bpp", "psnr_db"]]


EXPERIMENT = Figure4()
