"""Figures 7 to 12: images as each way leaves them, with what the paper has beside."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from tables.common.experiment import Cell, Experiment, Request
from tables.common.harness import Images, parse
from tables.common.plots import canvas, save
from tables.universal import PAPER, hyperprior, linear
from tables.universal.codecs.measured import Ways, measured, subject_of

Published = Mapping[str, tuple[float, float]]
"""By way, bits per pixel and PSNR in dB."""

_PART = slice(150, 300), slice(250, 450)
"""Of a picture, rows and columns."""


@dataclass(frozen=True)
class Page:
    """One of the paper's pages."""

    model: str
    image: str
    published: Published

    @property
    def ways(self) -> Ways:
        """How each of its pictures is made here."""
        found = {"linear": linear.WAYS, "hyperprior": hyperprior.WAYS}[self.model]
        return {way: found[way] for way in self.published}

    def nearest(self, rows: Mapping[str, pd.DataFrame], way: str) -> pd.Series | None:
        """The trained point whose rate is nearest to the published one, of rows by way."""
        own = rows.get(way, pd.DataFrame(columns=["image", "bpp"]))
        own = own[own["image"].astype(str).str.startswith(self.image)]
        if own.empty:
            return None
        return own.loc[(own["bpp"] - self.published[way][0]).abs().idxmin()]


def _page(model: str, image: str, *published: tuple[float, float]) -> Page:
    return Page(model, image, dict(zip(("UN + UQ", "UN + Q", "UN + UQ + SR"), published)))


PAGES = (
    _page("linear", "kodim03", (0.762, 32.79), (0.672, 34.33), (0.562, 33.60)),
    _page("linear", "kodim16", (0.836, 32.22), (0.750, 33.09), (0.623, 32.54)),
    _page("linear", "kodim23", (0.778, 33.05), (0.674, 34.71), (0.572, 33.98)),
    _page("hyperprior", "kodim02", (0.091, 29.36), (0.063, 28.78), (0.059, 29.55)),
    _page("hyperprior", "kodim15", (0.099, 29.31), (0.073, 28.82), (0.072, 29.56)),
    _page("hyperprior", "kodim21", (0.156, 27.11), (0.120, 26.75), (0.123, 27.08)),
)


class Pages(Experiment):
    """Bits per pixel and PSNR of each picture, and a part of it."""

    name = "universal_pages"
    title = "pictures by rounding, dither and soft rounding"
    source = f"{PAPER}, Figures 7 to 12"
    notes = (
        "Of each way, the trained point whose rate is nearest to the published one: rates differ, "
        "so only pairs of both numbers can be compared. The paper's models were trained for much "
        "longer.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for page, rows in _measured(request):
            for way, known in page.published.items():
                row, point = f"{page.model}, {page.image}, {way}", page.nearest(rows, way)
                for column, published in zip(("bpp", "psnr_db"), known):
                    value, note = (
                        (math.nan, "not measured") if point is None else (point[column], "")
                    )
                    yield Cell(row, column, value, published, "", note)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        """What is published and what is ours; and where it was measured now, the pictures."""
        shown, (figure, [axes]) = replace(request, run=False), canvas()
        for page, rows in _measured(shown):
            for way, known in page.published.items():
                axes.plot(*known, "kx")
                point = page.nearest(rows, way)
                if point is not None:
                    own = point["bpp"], point["psnr_db"]
                    axes.plot(*zip(known, own), ".-", label=f"{page.image}, {way}")
        axes.set(xlabel="bits per pixel", ylabel="PSNR, dB", title="x: published")
        axes.legend(fontsize="x-small")
        save(figure, path)
        if request.run:
            _draw(shown, path.with_stem(f"{path.stem}-pictures"))


def _draw(request: Request, path: Path) -> None:
    """A part of each image, and of each way of it whose weights are here."""
    columns = 1 + len(PAGES[0].published)
    figure, panels = canvas(columns * len(PAGES), width=11, across=columns, height=2.1)
    by_image = {image.stem: image for image in request.dataset.paths}
    for k, (page, rows) in enumerate(_measured(request)):
        x = next(Images().groups([by_image[page.image]]))[0]
        own = panels[k * columns : (k + 1) * columns]
        for axes, (title, picture) in zip(own, [(page.image, _part(x)), *_pictures(page, rows, x)]):
            axes.imshow(picture, interpolation="none")
            axes.set_title(title, fontsize="small")
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    save(figure, path)


def _measured(request: Request) -> Iterator[tuple[Page, Mapping[str, pd.DataFrame]]]:
    """Each page whose image is there, and rows of its ways on the images of its model's pages."""
    here = {path.stem for path in request.dataset.paths}
    for page in (page for page in PAGES if page.image in here):
        alike = [other.image for other in PAGES if other.model == page.model]
        yield page, measured(page.ways, alike, page.model, request)


def _pictures(
    page: Page, rows: Mapping[str, pd.DataFrame], x: Tensor
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Title and picture of each way that was measured."""
    for name, (curve, config) in page.ways.items():
        point = page.nearest(rows, name)
        points = {one.name: one for one in subject_of(curve, page.model).points}
        if point is not None and point["point"] in points:
            with torch.no_grad():
                coder = Images().coder(parse(config), points[point["point"]].load())
                [decoded] = coder([x]).decode()
            yield f"{name}: {point['bpp']:.3f} bpp, {point['psnr_db']:.2f} dB", _part(decoded)


def _part(x: Tensor) -> NDArray[np.float32]:
    return x[0][(..., *_PART)].clamp(0, 1).permute(1, 2, 0).numpy()


EXPERIMENT = Pages()
