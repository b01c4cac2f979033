"""Tables and figures of papers, measured here: a folder for each paper, a file for each of them.

::

    common/        codecs, data, rows, reports: what all share
    latent_shift/  a paper: one small file per table or figure, called as on the command line
    universal/     another
    onehot/        and another
    gaps/          and another
    figures/       what README and docs show of the rows
    measured/      the rows: one file per kind, data set and codec

`python -m tables NAME` measures and reports one, `python -m tables figures` renews the documents.
A new paper is a folder here whose name stands in `PAPERS`.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tables.common.experiment import Experiment

PAPERS = ("latent_shift", "universal", "sampling", "onehot", "gaps")


def files() -> dict[str, str]:
    """Name of each table and figure on the command line, and the module that has it."""
    packages = [import_module(f"{__name__}.{paper}") for paper in PAPERS]
    return {
        file.name: f"{package.__name__}.{file.name}"
        for package in packages
        for file in iter_modules(package.__path__)
        if not file.ispkg  # what its tables share
    }


def experiment_of(name: str) -> "Experiment":
    """The table or figure of that name."""
    experiment: Experiment = import_module(files()[name]).EXPERIMENT
    return experiment
