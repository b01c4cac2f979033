"""The reports in docs/tables: each table or figure and data set, from committed rows alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from tables import experiment_of
from tables.common import data
from tables.common.experiment import Cell, Experiment, Request
from tables.common.places import MEASURED, ROOT
from tables.common.report import documents, stem
from tables.common.subjects import Subject, resolve

FOLDER = ROOT / "docs" / "tables"
SAMPLED = ("sampled_rd", "coding_time", "second_level")
"""Of codecs that send samples, and one beside them."""
REPORTS = (
    *((name, "kodak") for name in ("table1", "table3", "table4", "table5", "table6")),
    *((name, "kodak") for name in ("figure3", "figure4", "figure4c", "figure7")),
    *((name, "kodak") for name in ("dithered", "dither_time", "linear", "universal_pages")),
    *((name, "kodak") for name in ("linear_training", "artefacts")),
    *((name, "kodak") for name in SAMPLED),
    *((name, "kodak") for name in ("hyperprior", "gap_training", "gap_gains", "finetuned")),
    *((name, "kodak") for name in ("onehot_photographs", "progressive", "ablation", "context")),
    *((name, data.CLIC) for name in ("table1", "figure4")),
    ("table2", data.VIDEO),
    ("figure2", ""),
    ("onehot_digits", ""),
)
"""Table or figure, and data set."""

_CODECS = ("tiny", "lab", "zoo")
_NAMED = {
    **dict.fromkeys(SAMPLED, ("tiny-pln", "tiny-gamma-pln", "tiny-mbt2018-mean")),
    "ablation": ("tiny-bmshj2018-factorized", "tiny-mbt2018-mean"),
}
"""The codecs of tables that are not of all of them."""
_SOURCE = "From the rows in [tables/measured](../../tables/measured), which say their commit."


@dataclass(frozen=True)
class Report:
    """A table or figure with its rows."""

    experiment: Experiment
    request: Request
    command: str

    @cached_property
    def cells(self) -> Sequence[Cell]:
        return list(self.experiment.cells(self.request))

    def texts(self) -> dict[str, str]:
        """Markdown and CSV, by file name."""
        return documents(self.experiment, self.cells, self.request, self.command, _SOURCE)

    def plot(self) -> None:
        """Draw anew what needs nothing but rows."""
        if self.experiment.drawn_from_rows:
            path = FOLDER / f"{stem(self.experiment, self.request)}.png"
            self.experiment.plot(self.cells, self.request, path)


@cache
def report(name: str, of: str) -> Report:
    """As it is on every machine, whatever weights and data are there."""
    experiment, named = experiment_of(name), _NAMED.get(name, _CODECS)
    dataset = data.recorded(of, MEASURED)
    codecs = _recorded(named, experiment.medium == "video")
    request = Request(of, dataset, codecs, MEASURED, MEASURED, run=False)
    option = f" --data {of}" if of == data.CLIC else ""
    option += f" --codecs {','.join(named)}" if name in _NAMED else ""
    return Report(experiment, request, f"python -m tables {name}{option}")


@cache
def _recorded(names: tuple[str, ...], video: bool) -> Sequence[Subject]:
    return [subject.recorded() for subject in resolve(names, video)]
