"""What only the encoder does: choices and searches. Nothing here is needed to decode."""

from latentopt.encoder.ahead import Ahead
from latentopt.encoder.annealer import Aim, Annealer, Choice
from latentopt.encoder.correction import fit_corrections
from latentopt.encoder.effort import Effort, Schedule
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
from latentopt.encoder.sensitivity import Sensitivity, measure
from latentopt.encoder.side import SideProblem

__all__ = [
    "SEARCHES",
    "Ahead",
    "Aim",
    "Annealer",
    "Choice",
    "Effort",
    "Field",
    "Fit",
    "Grid",
    "Objective",
    "Schedule",
    "Secant",
    "Sensitivity",
    "ShiftProblem",
    "SideProblem",
    "StepSearch",
    "fit_corrections",
    "get_search",
    "measure",
    "refine",
    "shifted",
]
