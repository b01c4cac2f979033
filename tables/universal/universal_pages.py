"""Figures 7 to 12: images as each way leaves them, with what the paper has beside."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from tables.universal.codecs.measured import Way
from tables.universal.codecs.measured import measured as rows_of_ways
from tables.universal.codecs.train import trained

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
    def ways(self) -> Mapping[str, Way]:
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
    drawn_from_rows = False

    def cells(self, request: Request) -> Iterator[Cell]:
        for page, rows in _measured(request):
            for way, (bpp, psnr) in page.published.items():
                row, point = f"{page.model}, {page.image}, {way}", page.nearest(rows, way)
                if point is None:
                    yield Cell(row, "bpp", published=bpp, unit="", note="not measured")
                    continue
                yield Cell(row, "bpp", point["bpp"], bpp, "")
                yield Cell(row, "psnr_db", point["psnr_db"], psnr, "")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        columns = 1 + len(PAGES[0].published)
        figure, panels = canvas(columns * len(PAGES), width=11, across=columns, height=2.1)
        by_image = {image.stem: image for image in request.dataset.paths}
        for k, (page, rows) in enumerate(_measured(request)):
            x = next(Images().groups([by_image[page.image]]))[0]
            own = panels[k * columns : (k + 1) * columns]
            pictures = [(page.image, _part(x)), *_pictures(page, rows, x)]
            for axes, (title, picture) in zip(own, pictures):
                axes.imshow(picture, interpolation="none")
                axes.grid(visible=False)
                axes.set(xticks=[], yticks=[])
                axes.set_title(title, fontsize="small")
        save(figure, path)


def _measured(request: Request) -> Iterator[tuple[Page, Mapping[str, pd.DataFrame]]]:
    """Each page whose image is there, and rows of its ways on the images of its model's pages."""
    here = {path.stem for path in request.dataset.paths}
    for page in (page for page in PAGES if page.image in here):
        alike = [other.image for other in PAGES if other.model == page.model]
        ways = {name: Way(way.curve, way.config, alike) for name, way in page.ways.items()}
        yield page, rows_of_ways(ways, page.model, request)


def _pictures(
    page: Page, rows: Mapping[str, pd.DataFrame], x: Tensor
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Title and picture of each way that was measured."""
    for name, way in page.ways.items():
        point = page.nearest(rows, name)
        if point is not None:
            number = int(str(point["point"]).rpartition("-")[2])
            with torch.no_grad():
                coder = Images().coder(parse(way.config), trained(way.curve, number))
                [decoded] = coder([x]).decode()
            yield f"{name}: {point['bpp']:.3f} bpp, {point['psnr_db']:.2f} dB", _part(decoded)


def _part(x: Tensor) -> NDArray[np.float32]:
    return x[0][(..., *_PART)].clamp(0, 1).permute(1, 2, 0).numpy()


EXPERIMENT = Pages()
