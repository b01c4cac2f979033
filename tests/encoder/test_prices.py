"""Prices of coordinates: those of the product form, at all distances from the centre."""

import numpy as np
import pytest
import torch
from support.models import FAMILIES, tiny

from latentopt.densities import (
    TAIL,
    ConditionalDensity,
    Density,
    FactorizedDensity,
    GaussianDensity,
    LaplaceDensity,
)
from latentopt.encoder.prices import CoordinateBits
from latentopt.lattices import LATTICES
from latentopt.pmf.cells import cell_probabilities

SCALES = np.array([0.11, 0.7, 6.0])
DENSITIES: dict[str, Density] = {
    "gaussian": GaussianDensity(SCALES),
    "laplace": LaplaceDensity(SCALES),
    "conditional": ConditionalDensity(
        FactorizedDensity(tiny(FAMILIES["bmshj2018-factorized"]).entropy_bottleneck).stretchable,
        GaussianDensity(SCALES),
    ),
}


@pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES)
@pytest.mark.parametrize("name", ["int", "hex", "e8"])
def test_what_is_past_a_support_costs_what_its_mass_says(name: str, density: Density) -> None:
    """Masses are computed near to each level only, and the rest is as if they all were."""
    lattice, m = LATTICES[name], np.arange(-40, 41)
    bits = CoordinateBits(density, lattice)
    for level in range(0, density.levels, 5):
        found = bits(
            torch.full((len(m),), level), torch.from_numpy(m).expand(lattice.dim, -1)
        ).numpy()
        for axis, unit in enumerate(lattice.units):
            if lattice.dim == 1:
                mass = cell_probabilities(density, level, lattice, m[:, None])
            else:
                mass = unit * density.smoothed(level, m * unit, lattice.second_moment)
            expected = -np.log2(np.maximum(mass, TAIL)).astype(np.float32)
            np.testing.assert_array_equal(found[axis], expected)
