"""What the figures of trained models share: their points, differences, and curves."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tables.common.experiment import Cell, Experiment, Request
from tables.common.harness import means
from tables.common.plots import canvas, save
from tables.universal.codecs.measured import Ways, differences, measured

_LABELS = {"psnr_db": "PSNR, dB", "ms_ssim": "MS-SSIM"}
_AGAINST = "UN + Q"


class Curves(Experiment):
    """Means of each curve's points, and Bjøntegaard differences where there are four."""

    ways: Ways
    architecture = ""
    """Empty: called as the experiment."""
    images: Sequence[str] = ()
    """Names; empty: all of the data."""
    qualities: Sequence[str] = ("psnr_db",)

    def measured(self, request: Request) -> dict[str, pd.DataFrame]:
        """Rows of each way."""
        return measured(self.ways, self.images, self.architecture or self.name, request)

    def cells(self, request: Request) -> Iterator[Cell]:
        found = self.measured(request)
        if not found:
            curve, _ = next(iter(self.ways.values()))
            yield Cell(self.name, "bpp", note=f"python -m tables.universal.codecs.train {curve}")
        for way, rows in found.items():
            for _, point in means(rows).sort_values("bpp").iterrows():
                for column in ("bpp", *self.qualities):
                    yield Cell(f"{way}, {point['point']}", column, point[column], unit="")
        yield from differences(found, _AGAINST)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        count = len(self.qualities)
        figure, panels = canvas(count, width=max(8.0, 6.5 * count))
        for way, rows in self.measured(replace(request, run=False)).items():
            curve = means(rows).sort_values("bpp")
            for axes, quality in zip(panels, self.qualities):
                axes.plot(curve["bpp"], curve[quality], marker=".", label=way)
        for axes, quality in zip(panels, self.qualities):
            axes.set(xlabel="bits per pixel", ylabel=_LABELS[quality])
        panels[0].legend(fontsize="small")
        figure.suptitle(self.title)
        save(figure, path)
