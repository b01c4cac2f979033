"""Points, cells and nearest-point search of every lattice, against brute force."""

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentopt.errors import InputError
from latentopt.lattices import LATTICES, RULES, Lattice, get

NAMES = list(LATTICES)


@cache
def around(name: str) -> np.ndarray:
    """All integer vectors of at most one modulus on every axis; half a modulus for E8."""
    lattice = LATTICES[name]
    reach = lattice.modulus if lattice.dim < 8 else 2
    return np.array(list(product(range(-reach, reach + 1), repeat=lattice.dim)))


def neighbourhood(lattice: Lattice, x: np.ndarray) -> np.ndarray:
    """Coordinates of all lattice points within one modulus of ``x`` (v,) on every axis."""
    m = np.rint(x / np.array(lattice.units)).astype(int) + around(lattice.name)
    return m[lattice.contains(m)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_nearest_is_nearest(name: str, dtype: torch.dtype, data: st.DataObject) -> None:
    lattice = LATTICES[name]
    x = np.array(
        data.draw(st.lists(st.floats(-20, 20), min_size=lattice.dim, max_size=lattice.dim))
    )
    m = lattice.nearest(torch.tensor(x, dtype=dtype)[None])
    assert m.dtype == torch.int64 and lattice.contains(m.numpy()).all()
    units = np.array(lattice.units)
    found = np.linalg.norm(m.numpy()[0] * units - x)
    best = np.linalg.norm(neighbourhood(lattice, x) * units - x, axis=1).min()
    assert found <= best + (1e-4 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_second_moment_and_unit_volume(name: str) -> None:
    lattice = LATTICES[name]
    units = torch.tensor(lattice.units, dtype=torch.float64)
    period = units * lattice.modulus  # a period of the lattice along each axis
    volume = float(period.prod()) / len(lattice.cosets)
    assert volume == pytest.approx(1, abs=1e-12)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(400_000, lattice.dim, generator=generator, dtype=torch.float64) * period
    error = (x - lattice.nearest(x) * units).square().mean(dim=1)
    sampling = float(error.std()) / len(x) ** 0.5
    assert float(error.mean()) == pytest.approx(lattice.second_moment, abs=5 * sampling)


@pytest.mark.parametrize("name", NAMES)
def test_points_are_their_own_nearest(name: str) -> None:
    lattice = LATTICES[name]
    m = lattice.nearest(torch.randn(500, lattice.dim, dtype=torch.float64) * 9)
    points = m * torch.tensor(lattice.units, dtype=torch.float64)
    assert torch.equal(lattice.nearest(points), m)


def test_empty_batch() -> None:
    for lattice in LATTICES.values():
        assert lattice.nearest(torch.zeros(0, lattice.dim)).shape == (0, lattice.dim)


@pytest.mark.parametrize("name", ["hex", "oct"])
def test_pieces_tile_the_cell(name: str) -> None:
    """Every point of the cell is nearer to the origin than to any neighbour, and volume is 1."""
    from latentopt.densities import GaussianDensity
    from latentopt.pmf import cell_probabilities

    lattice = LATTICES[name]
    wide = GaussianDensity(np.array([1e4]), tails=())  # flat over a cell: P = volume * density
    p = cell_probabilities(wide, 0, lattice, np.zeros((1, lattice.dim), dtype=np.int64))
    assert p[0] * (2 * np.pi * 1e8) ** (lattice.dim / 2) == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_gives_narrow_levels_the_integers(name: str) -> None:
    rule = get(name)
    assert rule.name == name and rule.lattice(0.05).name in ("int", rule.wide.name)
    assert rule.lattice(rule.least_spread) is rule.lattice(1e4) is rule.wide
    if rule.least_spread:
        assert rule.lattice(0.999 * rule.least_spread) is LATTICES["int"]


def test_unknown_name() -> None:
    with pytest.raises(InputError, match=r"'fcc'.*int, hex, oct, d4, e8, auto"):
        get("fcc")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_nearest_on_cuda(name: str) -> None:
    lattice = LATTICES[name]
    x = torch.randn(10_000, lattice.dim, dtype=torch.float64) * 5
    assert torch.equal(lattice.nearest(x.cuda()).cpu(), lattice.nearest(x))
