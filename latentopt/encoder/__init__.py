"""What only the encoder does: the search of step sizes. Nothing here is needed to decode."""

from latentopt.encoder.search import (
    SEARCHES,
    Grid,
    Secant,
    ShiftProblem,
    StepSearch,
    get_search,
    shifted,
)
from latentopt.encoder.side import SideProblem

__all__ = [
    "SEARCHES",
    "Grid",
    "Secant",
    "ShiftProblem",
    "SideProblem",
    "StepSearch",
    "get_search",
    "shifted",
]
