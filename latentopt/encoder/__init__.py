"""What only the encoder does: choices and searches. Nothing here is needed to decode."""

from latentopt.encoder.ahead import Ahead
from latentopt.encoder.annealer import Aim, Annealer, Choice
from latentopt.encoder.choice import Cheapest, Vectors
from latentopt.encoder.context_fit import Examples, Ladder, examples_of, fit_network
from latentopt.encoder.correction import fit_corrections
from latentopt.encoder.draft import Draft
from latentopt.encoder.effort import Effort, Schedule
from latentopt.encoder.prices import CdfPrices, CoordinateBits, Prices
from latentopt.encoder.refine import Field, Objective, refine
from latentopt.encoder.search import (
    SEARCHES,
    Fit,
    Grid,
    Secant,
    ShiftProblem,
    StepSearch,
    get_search,
    shifted,
)
from latentopt.encoder.sending import Sending, sending
from latentopt.encoder.sensitivity import Sensitivity, draw, measure, sensitivity_of
from latentopt.encoder.side import SideProblem
from latentopt.encoder.side_search import SideSearch, side_search

__all__ = [
    "SEARCHES",
    "Ahead",
    "Aim",
    "Annealer",
    "CdfPrices",
    "Cheapest",
    "Choice",
    "CoordinateBits",
    "Draft",
    "Effort",
    "Examples",
    "Field",
    "Fit",
    "Grid",
    "Ladder",
    "Objective",
    "Prices",
    "Schedule",
    "Secant",
    "Sending",
    "Sensitivity",
    "ShiftProblem",
    "SideProblem",
    "SideSearch",
    "StepSearch",
    "Vectors",
    "draw",
    "examples_of",
    "fit_corrections",
    "fit_network",
    "get_search",
    "measure",
    "refine",
    "sending",
    "sensitivity_of",
    "shifted",
    "side_search",
]
