"""Cell probabilities: the codec's densities integrated over Voronoi cells, as tables of counts."""

from latentopt.pmf.cells import cell_probabilities
from latentopt.pmf.counts import PRECISION, TOTAL, Counts
from latentopt.pmf.tables import JointTable, ProductTable, Table, build_paper_table, build_table

__all__ = [
    "PRECISION",
    "TOTAL",
    "Counts",
    "JointTable",
    "ProductTable",
    "Table",
    "build_paper_table",
    "build_table",
    "cell_probabilities",
]
