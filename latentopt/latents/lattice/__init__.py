"""The lattice channel: a latent as lattice points, coded with the tables of their cells."""

from latentopt.latents.lattice.cdfs import CdfChannel, Cdfs, CdfTables
from latentopt.latents.lattice.channel import MAX_COORDINATE, Chooser, LatticeChannel
from latentopt.latents.lattice.corrections import (
    CORRECTION_BITS,
    MAX_CORRECTION,
    correction_bits,
)
from latentopt.latents.lattice.latent import Group, Latent
from latentopt.latents.lattice.packing import Moved, Part, pack
from latentopt.latents.lattice.prepacked import Ahead
from latentopt.latents.lattice.shipped import ship_tables
from latentopt.latents.lattice.tables import Tables

__all__ = [
    "CORRECTION_BITS",
    "MAX_COORDINATE",
    "MAX_CORRECTION",
    "Ahead",
    "CdfChannel",
    "CdfTables",
    "Cdfs",
    "Chooser",
    "Group",
    "Latent",
    "LatticeChannel",
    "Moved",
    "Part",
    "Tables",
    "correction_bits",
    "pack",
    "ship_tables",
]
