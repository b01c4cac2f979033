"""Cell probabilities: the codec's densities, their integrals over Voronoi cells, and tables."""

from latentopt.pmf.cells import cell_probabilities
from latentopt.pmf.counts import PRECISION, TOTAL, Counts
from latentopt.pmf.densities import (
    Density,
    FactorizedDensity,
    GaussianDensity,
    LaplaceDensity,
    RescaledDensity,
    ScaleDensity,
)
from latentopt.pmf.rates import CoordinateBits
from latentopt.pmf.tables import JointTable, ProductTable, Table, build_paper_table, build_table

__all__ = [
    "PRECISION",
    "TOTAL",
    "CoordinateBits",
    "Counts",
    "Density",
    "FactorizedDensity",
    "GaussianDensity",
    "JointTable",
    "LaplaceDensity",
    "ProductTable",
    "RescaledDensity",
    "ScaleDensity",
    "Table",
    "build_paper_table",
    "build_table",
    "cell_probabilities",
]
