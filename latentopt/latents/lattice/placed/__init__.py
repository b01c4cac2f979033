"""Points of a lattice moved by places of its period: their tables, and how they are coded."""

from latentopt.latents.lattice.placed.moved import MovedPoints
from latentopt.latents.lattice.placed.points import Placed, spacing
from latentopt.latents.lattice.placed.tables import PLACES, PlacedTables, residues

__all__ = ["PLACES", "MovedPoints", "Placed", "PlacedTables", "residues", "spacing"]
