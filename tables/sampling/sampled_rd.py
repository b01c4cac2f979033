"""Rate and distortion of the ladders, in theory and written, against other codecs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from latentopt.media.quality import ms_ssim_db
from latentopt.zoo.names import SAMPLED as FAMILIES
from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import canvas, save
from tables.common.probes import probed
from tables.sampling import PAPER
from tables.sampling.common.anchors import QUALITIES, anchor
from tables.sampling.common.coded import ROUNDED, SAMPLED, SAMPLERS

COLUMNS = {"bpp": "bpp", "psnr_db": "dB", "ms_ssim_db": "dB"}


class SampledRd(Experiment):
    """Means over the images at each rate point."""

    name = "sampled_rd"
    title = "ladders that send samples: rate and distortion"
    source = f"{PAPER}, Figures 4.1 and 4.3 to 4.8: plots without numbers"
    notes = (
        "theory: KL + 2 log2(KL + 1) bits an image. Others: bytes of whole files. MS-SSIM in dB is "
        "-10 log10(1 - MS-SSIM), of the mean. JPEG, WebP and AVIF by Pillow; a hyperprior by "
        "rounding.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for curve, frame in self._curves(request):
            for point, row in frame.iterrows():
                for column, unit in COLUMNS.items():
                    yield Cell(f"{curve} {point}", column, float(row[column]), unit=unit)

    def _curves(self, request: Request) -> Iterator[tuple[str, pd.DataFrame]]:
        for subject in request.subjects:
            if subject.architecture in FAMILIES:
                rows = probed(SAMPLED, subject, request)
                yield f"{subject.label} theory", _means(rows, "theory_bpp", SAMPLERS[0])
                for sampler in SAMPLERS:
                    yield f"{subject.label} {sampler}", _means(rows, f"{sampler} bpp", sampler)
            else:
                rows = probed(ROUNDED, subject, request)
                yield f"{subject.label} rounding", _means(rows, "bpp", "")
        for name in QUALITIES:
            rows = anchor(name, request)
            yield name, _means(rows.rename(columns={"quality": "point"}), "bpp", "")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(2, width=16)
        found: dict[str, dict[str, dict[str, float]]] = {}
        for cell in cells:
            curve, _, point = cell.row.rpartition(" ")
            found.setdefault(curve, {}).setdefault(point, {})[cell.column] = cell.measured
        for axes, quantity in zip(panels, ("psnr_db", "ms_ssim_db")):
            for curve, points in found.items():
                values = sorted((p["bpp"], p[quantity]) for p in points.values())
                axes.plot(*zip(*values), ".-", label=curve)
            axes.set(xlabel="bpp", ylabel=quantity, xlim=(0, 2))
        panels[0].legend(fontsize=7)
        save(figure, path)


def _means(rows: pd.DataFrame, rate: str, prefix: str) -> pd.DataFrame:
    """Rate and quality at each point, means over the images."""
    names = [f"{prefix} {q}".strip() for q in ("psnr_db", "ms_ssim")]
    means = rows.groupby("point", sort=False)[[rate, *names]].mean()
    means.columns = pd.Index(["bpp", "psnr_db", "ms_ssim"])
    return means.assign(ms_ssim_db=means["ms_ssim"].map(ms_ssim_db))


EXPERIMENT = SampledRd()
