"""What the figures of one-hot max share: PSNR at rates, for each way of cutting a stream."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from latentopt.errors import InputError
from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import canvas, save
from tables.onehot.codecs.cutting import Cut, at_rates
from tables.onehot.codecs.rows import Measure, Place, rows_of

SOURCE = "Löhdefink et al., CVPR workshops 2022"
_UNIT = "dB PSNR"


class Cuts(Experiment):
    """PSNR of cut streams at some rates."""

    rates: Sequence[float]
    """Bits per pixel."""
    published: Mapping[tuple[str, float], float] = {}
    """PSNR as the paper's text says it, by row and rate."""

    def cells_of(self, row: str, cuts: Sequence[Cut]) -> Iterator[Cell]:
        """The cells of one curve."""
        for rate, psnr in zip(self.rates, at_rates(cuts, self.rates)):
            note = "" if not math.isnan(psnr) else "beyond the curve"
            known = self.published.get((row, rate))
            yield Cell(row, f"{rate:g} bpp", psnr, known, _UNIT, note)
        yield Cell(row, "whole, bpp", max(cut.bpp for cut in cuts), unit="bpp")
        yield Cell(row, "whole", max(cuts, key=lambda cut: cut.bpp).psnr_db, unit=_UNIT)

    def trained_cells(
        self, codecs: Mapping[str, str], data: str, images: int, request: Request, measure: Measure
    ) -> Iterator[Cell]:
        """The curves of codecs, by their rows; why, where there is none."""
        for row, name in codecs.items():
            try:
                found = rows_of(Place(name, data, images, request), measure)
            except InputError as error:
                yield Cell(row, f"{self.rates[0]:g} bpp", unit=_UNIT, note=str(error))
                continue
            yield Cell(row, "steps", found.steps, unit="")
            yield Cell(row, "minutes", found.minutes, unit="")
            yield from self.cells_of(row, found.cuts)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        """PSNR over the rate, a line for each row."""
        figure, [axes] = canvas()
        rates = {f"{rate:g} bpp": rate for rate in self.rates}
        for row in dict.fromkeys(cell.row for cell in cells):
            own = [cell for cell in cells if cell.row == row and cell.column in rates]
            x, y = [rates[cell.column] for cell in own], [cell.measured for cell in own]
            axes.plot(x, y, ".-", label=row)
        axes.set(title=self.title, xlabel="bits per pixel", ylabel="PSNR, dB")
        axes.legend(fontsize="small")
        save(figure, path)
