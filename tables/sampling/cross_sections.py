"""Cross-sections of the latents of one image: posteriors, priors, and a sample of each level."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import latentopt
from latentopt.codec.sampled import SampledEncoder
from latentopt.densities import Floats
from latentopt.latents import Gaussian
from latentopt.latents.sampling import SampledLatent
from latentopt.media.images import read_image
from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import canvas, save
from tables.common.subjects import Subject
from tables.sampling import PAPER
from tables.sampling.common.coded import ladders

IMAGE = "kodim21"
_MAPS = ("posterior mean", "posterior spread", "prior mean", "prior spread", "sample", "KL, bits")
_POINT = 2  # rate point, counted from 0


class CrossSections(Experiment):
    """Of each level, its channel with the most information."""

    name = "cross_sections"
    alone = True
    title = "cross-sections of the latents of one image"
    source = f"{PAPER}, Figures 3.1, 3.3 and 3.4: pictures"
    notes = (f"Of {IMAGE}, or the first image where it is not among the data.",)

    def cells(self, request: Request) -> Iterator[Cell]:
        for subject in _measurable(request):
            for level, maps in enumerate(_maps(subject, request), 1):
                for name, values in maps.items():
                    row = f"{subject.label} level {level}"
                    yield Cell(row, name, float(values.mean()), unit="mean")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        for subject in _measurable(request):
            levels = _maps(subject, request)
            figure, panels = canvas(len(_MAPS) * len(levels), width=14)
            titled = [(f"level {i}: {n}", v) for i, m in enumerate(levels, 1) for n, v in m.items()]
            for axes, (title, values) in zip(panels, titled):
                axes.imshow(values)
                axes.set(title=title, xticks=[], yticks=[])
            save(figure, path.with_stem(f"{path.stem}-{subject.label}"))


def _measurable(request: Request) -> list[Subject]:
    return [subject for subject in ladders(request) if subject.points]


def _maps(subject: Subject, request: Request) -> list[dict[str, NDArray[np.floating]]]:
    """Of each level, maps (h, w) of one channel."""
    place = request.dataset.names.index(IMAGE) if IMAGE in request.dataset.names else 0
    codec = latentopt.wrap(subject.points[_POINT].load(), spread=1.0)
    x = read_image(request.dataset.paths[place])
    [latents] = SampledEncoder(codec.assembly).sent(x)
    divergences = [
        channel.divergence(crossed, target)  # type: ignore[attr-defined]
        for channel, (crossed, target) in zip(codec.assembly.channels, latents)
    ]
    return [_of_level(*pair, kl) for pair, kl in zip(latents, divergences)]  # type: ignore[arg-type]


def _of_level(
    crossed: SampledLatent, target: Gaussian, kl: Floats
) -> dict[str, NDArray[np.floating]]:
    prior, shape = crossed.prior, crossed.prior.shape
    spread = prior.scaled(crossed.density.spreads[prior.levels])
    values = target.values, target.spreads, prior.centres, spread, crossed.hat, kl
    busiest = int(kl.reshape(shape).sum(axis=(1, 2)).argmax())
    return {name: v.reshape(shape)[busiest] for name, v in zip(_MAPS, values)}


EXPERIMENT = CrossSections()
