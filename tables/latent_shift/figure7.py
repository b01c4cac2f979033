"""Figure 7: what hex and oct gain in image and latent at each quality, without a coder's losses."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.plots import canvas, save
from tables.common.probes import curve, label, probed
from tables.common.subjects import Subject
from tables.common.tangent import tangents
from tables.latent_shift import PAPER
from tables.latent_shift.table5 import PROBE

LATTICES = ("hex", "oct")
PANELS = {"PSNR": "dB", "SNR": "dB", "−rate": "%"}
"""What is gained, and its unit; all are gains where positive."""


class Figure7(CodecExperiment):
    """Table 5's rows, rate point by rate point instead of integrated."""

    name = "figure7"
    title = "lattices at each quality with ideal rates, against rounding"
    source = f"{PAPER}, Figure 7, a plot without numbers; it has oct before hex in all three"
    architecture = "mbt2018-mean"
    notes = (
        "Each quality is compared with rounding at the same quality, and what differs besides is "
        "converted by the slope of rounding's curve there (dB per doubling of the rate, PCHIP): "
        "PSNR and SNR of the latent at equal rate, and −rate, the rate saved at equal PSNR. Ideal "
        "rates, SNR and PSNR as in Table 5, which integrates over all qualities.",
    )
    columns = {"bpp": ""} | {f"{name} {what}": PANELS[what] for what in PANELS for name in LATTICES}

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        rows = probed(PROBE, subject, request)
        means = curve(rows, PROBE.quantities).sort_values("int bpp")
        gains = {name: _gains(means, name) for name in LATTICES}
        for k, (point, _) in enumerate(means.index):
            row = f"{label(subject, rows, request)} {point}"
            yield Cell(row, "bpp", float(means["int bpp"].iloc[k]), unit="")
            for what, unit in PANELS.items():
                for name in LATTICES:
                    yield Cell(row, f"{name} {what}", gains[name][what][k], unit=unit)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        """A panel for each gain, over the rate of rounding."""
        figure, panels = canvas(len(PANELS), width=14)
        for axes, (what, unit) in zip(panels, PANELS.items()):
            for subject in request.subjects:
                own = [c for c in cells if c.row.startswith(f"{subject.label} ")]
                for name, style in zip(LATTICES, (".--", ".-")):
                    gains = [c.measured for c in own if c.column == f"{name} {what}"]
                    bpp = [c.measured for c in own if c.column == "bpp"]
                    if gains:
                        axes.plot(bpp, gains, style, label=f"{subject.label}: {name}")
            axes.axhline(0.0, color="grey", linewidth=0.8)
            axes.set(title=f"{what}, {unit}", xlabel="bits per pixel")
        panels[0].legend()
        save(figure, path)


def _gains(means: pd.DataFrame, name: str) -> dict[str, list[float]]:
    """What `PANELS` say of a lattice, per rate point."""
    bpp, psnr, snr = (means[f"{name} {q}"] for q in ("bpp", "psnr_db", "snr_db"))
    images = list(tangents(means, "int bpp", "int psnr_db"))
    latents = list(tangents(means, "int bpp", "int snr_db"))
    return {
        "PSNR": [t.quality(*at) for t, at in zip(images, zip(bpp, psnr))],
        "SNR": [t.quality(*at) for t, at in zip(latents, zip(bpp, snr))],
        "−rate": [-t.rate_percent(*at) for t, at in zip(images, zip(bpp, psnr))],
    }


EXPERIMENT = Figure7()
