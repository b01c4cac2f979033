"""The codec's own densities of latents, per level, as float64 functions."""

from latentopt.densities.base import RARE, TAIL, Density, Floats
from latentopt.densities.believed import BelievedDensity
from latentopt.densities.conditional import ConditionalDensity
from latentopt.densities.factorized import FactorizedDensity
from latentopt.densities.rescaled import WIDTHS, RescaledDensity
from latentopt.densities.scale import GaussianDensity, LaplaceDensity, ScaleDensity

__all__ = [
    "RARE",
    "TAIL",
    "WIDTHS",
    "BelievedDensity",
    "ConditionalDensity",
    "Density",
    "FactorizedDensity",
    "Floats",
    "GaussianDensity",
    "LaplaceDensity",
    "RescaledDensity",
    "ScaleDensity",
]
