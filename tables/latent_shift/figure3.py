"""Figures 3 and 6: gradients of entropy and of distortion, element by element and per image."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from latentopt.media.images import read_image
from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.latents import View, plain, unit
from tables.common.plots import canvas, save
from tables.common.probes import label, probed
from tables.common.subjects import Subject
from tables.latent_shift import PAPER
from tables.latent_shift.figure4c import PROBE

_DOTS = 4000


class Figure3(CodecExperiment):
    """Correlation of both gradients per image, of the lowest rate point."""

    name = "figure3"
    title = "correlation of entropy and distortion gradients"
    source = f"{PAPER}, Figures 3 and 6; it says: negative"
    notes = (
        "Pearson's correlation over the elements of the rounded latent, per image: mean, least "
        "and greatest over images and rate points, and the share of them that is negative. "
        "Left in the plot: elements of the first image, of the first codec's lowest rate point.",
    )
    columns = dict.fromkeys(["mean"], "")
    drawn_from_rows = False

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        rows = probed(PROBE, subject, request)
        if rows.empty:
            return
        found, row = rows["correlation"], label(subject, rows, request)
        yield Cell(row, "mean", float(found.mean()), None, "")
        yield Cell(row, "least", float(found.min()), None, "")
        yield Cell(row, "greatest", float(found.max()), None, "")
        yield Cell(row, "negative", 100 * float((found < 0).mean()), None, "% of all")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, [dots, histogram] = canvas(2, width=12)
        of_codecs = {s.label: probed(PROBE, s, request)["correlation"] for s in request.subjects}
        for name, values in of_codecs.items():
            if len(values):
                histogram.hist(values, bins=20, alpha=0.6, label=name)
                histogram.legend()
        histogram.set(xlabel="correlation", ylabel="images and rate points", title=self.title)
        if here := [subject for subject in request.subjects if subject.points]:
            model = here[0].points[0].load().to(request.device)
            x, y = _elements(
                View(plain(model), read_image(request.dataset.paths[0]).to(request.device))
            )
            dots.plot(x, y, ".", markersize=2, alpha=0.5)
            dots.set_title(f"{here[0].label} {here[0].points[0].name}, {request.dataset.names[0]}")
        dots.set(xlabel="gradient of entropy / rms", ylabel="gradient of distortion / rms")
        save(figure, path)


@torch.no_grad()
def _elements(view: View) -> tuple[list[float], list[float]]:
    """Both gradients of some elements that are not at their means."""
    entropy, distortion = unit(view.decodable("density")), unit(view.error_gradient())
    moving = torch.nonzero(entropy.flatten()).flatten()
    some = moving[:: max(1, len(moving) // _DOTS)]
    return entropy.flatten()[some].tolist(), distortion.flatten()[some].tolist()


EXPERIMENT = Figure3()
