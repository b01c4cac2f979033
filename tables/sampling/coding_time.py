"""Seconds to encode and decode an image, against its rate, and the published ones."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import canvas, save
from tables.common.probes import curve, probed
from tables.sampling import PAPER
from tables.sampling.common.coded import SAMPLED, SAMPLERS, ladders

PUBLISHED = {"fastest": (56.0, 25.0), "beta = 0.1": (99.0, 33.0), "slowest": (452.0, 140.0)}
"""Seconds to encode and to decode an image, on a GPU."""
_VERBS = ("encode", "decode")


class CodingTime(Experiment):
    """Means over the images, of one core."""

    name = "coding_time"
    alone = True
    title = "seconds to code an image"
    source = f"{PAPER}, Table 4.1 and Figure 4.9"
    notes = (
        "Seconds of one core's time, of whole files, the networks included. The thesis's are of a "
        "GPU, of its IS-GS coder and larger networks.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for row, seconds in PUBLISHED.items():
            for verb, known in zip(_VERBS, seconds):
                yield Cell(f"thesis, {row}", verb, published=known, unit="s", note="a GPU")
        for subject in ladders(request):
            rows = probed(SAMPLED, subject, request)
            for (point, _), mean in curve(rows, SAMPLED.quantities).iterrows():
                for sampler in SAMPLERS:
                    place = f"{subject.label} {point} {sampler}"
                    yield Cell(place, "rate", float(mean[f"{sampler} bpp"]), unit="bpp")
                    for verb in _VERBS:
                        yield Cell(place, verb, float(mean[f"{sampler} {verb}_s"]), unit="s")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(2, width=14)
        for axes, verb in zip(panels, _VERBS):
            for sampler in SAMPLERS:
                own = [c for c in cells if c.row.endswith(f" {sampler}")]
                rate, seconds = ([c.measured for c in own if c.column == n] for n in ("rate", verb))
                axes.plot(rate, seconds, ".", label=sampler)
            axes.set(xlabel="bpp", ylabel=f"{verb}, s", yscale="log")
        panels[0].legend()
        save(figure, path)


EXPERIMENT = CodingTime()
