"""How far apart the places of a dither are."""

import numpy as np

from latentopt.densities import Floats
from latentopt.latents.dither.philox import PLACES
from latentopt.lattices import Lattice


def spacing(lattice: Lattice) -> Floats:
    """(v,) the distance between two places on each axis, in latent units."""
    return np.array(lattice.units) * lattice.modulus / PLACES
