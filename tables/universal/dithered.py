"""Dithered lattices on codecs that were trained before, with means and with a shift."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.harness import means, parse
from tables.common.plots import bars
from tables.common.rows import rows_of
from tables.common.subjects import Subject, resolve
from tables.universal import PAPER

LATTICES = ("int", "hex", "e8")
WAYS = ("", "+dither", "+dither+mean")
CONFIGS = tuple(
    parse(name).name
    for name in (
        *(lattice + way for lattice in LATTICES for way in WAYS),
        "int+shift+dither",
        "e8+shift+dither",
        "e8+shift+dither+mean",
    )
)

QUICK = ("tiny-bmshj2018-factorized", "tiny-mbt2018-mean")
"""Embedded codecs."""
WITH_CONTEXT = ("tiny-mbt2018", "tiny-cheng2020-attn")
"""Those that decode position by position."""


def subjects(embedded: Sequence[str] = QUICK) -> list[Subject]:
    """The published factorized checkpoint, and embedded codecs, each at one quality."""
    [factorized] = [s for s in resolve(["lab"]) if s.codec == "bmshj2018-factorized"]
    found = [factorized.at("bmshj2018-factorized-q2", "factorized q2")]
    for codec in embedded:
        [own] = resolve([codec])
        found.append(own.at("q2", f"{codec} q2"))
    return found


class Dithered(CodecExperiment):
    """Means over the images of each configuration, of codecs of this table's own."""

    name = "dithered"
    title = "dithered lattices on trained codecs"
    source = f"{PAPER} has none of it: beyond the paper"
    notes = (
        "Bytes written. `+mean`: what is decoded is E[y | z] of the point z that arrived, with the "
        "codec's own density.",
    )
    columns = MappingProxyType(dict.fromkeys(("bpp", "psnr_db", "encode_s", "decode_s"), ""))

    def cells(self, request: Request) -> Iterator[Cell]:
        own = [subject.shown_in(request) for subject in subjects((*QUICK, *WITH_CONTEXT))]
        yield from super().cells(replace(request, subjects=own))

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        rows = rows_of(subject, CONFIGS, request)
        for _, row in means(rows).iterrows() if len(rows) else ():
            for column in self.columns:
                place = f"{subject.label}: {row['config']}"
                yield Cell(place, column, float(row[column]), unit="")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars([cell for cell in cells if cell.column == "psnr_db"], path, self.title)


EXPERIMENT = Dithered()
