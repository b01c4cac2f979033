"""The lattice channel: a latent as lattice points, coded with the tables of their cells."""

from latentopt.latents.lattice.coder import (
    CORRECTION_BITS,
    MAX_COORDINATE,
    MAX_CORRECTION,
    SPLITS,
    Coding,
    Latent,
    LatentCoder,
    Quantizer,
    Reader,
)
from latentopt.latents.lattice.packing import Part, pack
from latentopt.latents.lattice.shipped import ship_tables

__all__ = [
    "CORRECTION_BITS",
    "MAX_COORDINATE",
    "MAX_CORRECTION",
    "SPLITS",
    "Coding",
    "Latent",
    "LatentCoder",
    "Part",
    "Quantizer",
    "Reader",
    "pack",
    "ship_tables",
]
