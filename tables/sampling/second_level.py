"""What the second level has of the rate, at each rate point."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import canvas, save
from tables.common.probes import curve, probed
from tables.sampling import PAPER
from tables.sampling.common.coded import OF_SAMPLES, SAMPLED, ladders


class SecondLevel(Experiment):
    """Means over the images of the KL of level 2, over that of both."""

    name = "second_level"
    title = "the second level's share of the rate"
    source = f"{PAPER}, Figure 4.2: a plot without numbers"
    notes = ("Of KL, not of bytes.",)

    def cells(self, request: Request) -> Iterator[Cell]:
        for subject in ladders(request):
            means = curve(probed(SAMPLED, subject, request), OF_SAMPLES)
            for (point, _), row in means.iterrows():
                place = f"{subject.label} {point}"
                yield Cell(place, "KL", float(row["kl_bpp"]), unit="bpp")
                share = 100 * float(row["second_bpp"] / row["kl_bpp"])
                yield Cell(place, "share", share, unit="% of all")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, [axes] = canvas()
        for subject in {cell.row.split()[0]: None for cell in cells}:
            own = [c for c in cells if c.row.split()[0] == subject]
            rate, share = ([c.measured for c in own if c.column == n] for n in ("KL", "share"))
            axes.plot(rate, share, ".-", label=subject)
        axes.set(xlabel="KL, bpp", ylabel="of it in level 2, %")
        axes.legend()
        save(figure, path)


EXPERIMENT = SecondLevel()
