"""What a table or figure is: cells, each with what was measured and what was published."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from latentopt.engine import LOCAL, Engine
from latentopt.errors import RateRangeError
from tables.common.harness import Dataset
from tables.common.subjects import Subject


@dataclass(frozen=True)
class Cell:
    """One number of a table."""

    row: str
    column: str
    measured: float = math.nan
    """NaN where it was not measured; ``note`` says why."""
    published: float | None = None
    """The paper's number for the same architecture."""
    unit: str = "%"
    note: str = ""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    data: str
    """Name of the data set, as `tables.common.data.resolve` knows it."""
    dataset: Dataset
    subjects: Sequence[Subject]
    rows: Path
    """Folder of measurements, from which runs resume."""
    committed: Path
    """Folder of committed measurements, which are not measured again."""
    configs: Sequence[str] | None = None
    """Configurations to measure; None: all of the table's. All that were measured are shown."""
    seeds: int = 1024
    """Random directions (Table 4)."""
    device: str = "cpu"
    run: bool = True
    """False: only report what was measured before."""
    progress: bool = True
    engine: Engine = LOCAL
    """Where it is measured."""


class Experiment(ABC):
    """A table or figure of the paper. Subclasses say how it is measured, instances what."""

    name: str
    """As on the command line."""
    title: str
    source: str
    """Where the published numbers stand."""
    notes: Sequence[str] = ()
    """What a reader must know of the numbers."""
    medium: ClassVar[str | None] = "image"
    """What it is of: "image", "video", or None: of samples that it draws."""
    times: ClassVar[bool] = False
    """Whether it is about time, which processes take from each other: then one measures alone."""
    drawn_from_rows: ClassVar[bool] = True
    """Whether the plot needs nothing but rows."""

    @abstractmethod
    def cells(self, request: Request) -> Iterator[Cell]:
        """Measure what is missing, and give the cells."""

    @abstractmethod
    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        """Save the plot as PNG."""


class CodecExperiment(Experiment):
    """An experiment with rows for each codec, or one that says why there are none."""

    columns: Mapping[str, str]
    """Column and unit."""
    architecture: ClassVar[str] = ""
    """The only one that it is about; empty: all."""

    def cells(self, request: Request) -> Iterator[Cell]:
        for subject in request.subjects:
            if self.architecture not in ("", subject.architecture):
                continue
            known = self.published(subject, request)
            found = list(self.cells_of(subject, request))
            yield from found or missing(subject, self.columns, known)

    @abstractmethod
    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        """The cells of a codec; none where it has no rows."""

    def published(self, subject: Subject, request: Request) -> Mapping[str, float]:
        """What the paper has in a codec's row."""
        return {}


def missing(
    subject: Subject, columns: Mapping[str, str], published: Mapping[str, float]
) -> Iterator[Cell]:
    """The cells of a codec that has no rows; ``columns`` have units."""
    for column, unit in columns.items():
        yield Cell(subject.label, column, math.nan, published.get(column), unit, subject.lacking)


def attempt(difference: Callable[[], float]) -> tuple[float, str]:
    """A Bjøntegaard difference; or NaN, and why there is none."""
    try:
        return difference(), ""
    except RateRangeError as error:
        return math.nan, str(error)
