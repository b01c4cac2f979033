"""Choices of lattice points by rate and distortion, against brute force."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.crossing import received, sent, string_of
from torch import Tensor

from latentopt.densities import GaussianDensity
from latentopt.encoder import Cheapest, CoordinateBits, Field, Prices, Vectors
from latentopt.latents import Prior
from latentopt.latents.lattice import LatticeChannel, Part, pack
from latentopt.lattices import LATTICES, RULES, Lattice
from latentopt.pmf import JointTable, ProductTable, build_table

NAMES = list(LATTICES)
SCALES = np.array([0.15, 0.3, 0.6, 1.3, 3.0])
DENSITY = GaussianDensity(SCALES)
BITS = {name: CoordinateBits(DENSITY, lattice) for name, lattice in LATTICES.items()}


def coset_sums(lattice: Lattice, values: Tensor) -> Tensor:
    """(n, c) total of ``values`` (n, v, modulus) over the residues of each coset."""
    sums = [sum(values[:, j, r] for j, r in enumerate(coset)) for coset in lattice.cosets]
    return torch.stack([torch.as_tensor(s) for s in sums], dim=1)


def random_values(lattice: Lattice, seed: int, spread: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (40, lattice.dim, lattice.modulus)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * spread


# -- the lattices' own part: sums over cosets ------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e4])
def test_cheapest_is_the_best_of_all_cosets(name: str, spread: float) -> None:
    lattice = LATTICES[name]
    cost = random_values(lattice, 1, spread)
    residues = lattice.cheapest(cost)
    assert residues.shape == cost.shape[:2] and lattice.contains(residues.numpy()).all()
    found = cost.gather(2, residues[..., None])[..., 0].sum(dim=1)
    torch.testing.assert_close(found, coset_sums(lattice, cost).amin(dim=1))


@pytest.mark.parametrize("name", NAMES)
def test_cheapest_where_costs_are_equal_is_still_a_point(name: str) -> None:
    lattice = LATTICES[name]
    residues = lattice.cheapest(torch.zeros(3, lattice.dim, lattice.modulus))
    assert lattice.contains(residues.numpy()).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spread", [1e-3, 1.0, 2.0])
def test_residue_marginals_are_those_of_the_coset_probabilities(name: str, spread: float) -> None:
    lattice = LATTICES[name]
    log_weight = random_values(lattice, 2, spread)
    p = torch.softmax(coset_sums(lattice, log_weight), dim=1)
    expected = torch.zeros_like(log_weight)
    for c, coset in enumerate(lattice.cosets):
        for j, r in enumerate(coset):
            expected[:, j, r] += p[:, c]
    found = lattice.residue_marginals(log_weight)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [100.0, 1e4])
def test_extreme_weights_still_give_probabilities(
    name: str, dtype: torch.dtype, spread: float
) -> None:
    lattice = LATTICES[name]
    log_weight = random_values(lattice, 3, spread).to(dtype)
    p = lattice.residue_marginals(log_weight)
    assert torch.isfinite(p).all() and float(p.min()) >= 0
    torch.testing.assert_close(p.sum(dim=2), torch.ones(p.shape[:2], dtype=dtype))


# -- what coordinates cost -------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_sums_of_coordinate_bits_are_the_tables_up_to_a_constant(name: str, level: int) -> None:
    lattice = LATTICES[name]
    table = build_table(DENSITY, level, lattice)
    product_form = table.fallback if isinstance(table, JointTable) else table
    assert isinstance(product_form, ProductTable)
    rng = np.random.default_rng(level)
    x = torch.from_numpy(SCALES[level] * rng.standard_normal((2000, lattice.dim)))
    m = lattice.nearest(x)
    common = (x.abs() < 2.5 * SCALES[level]).all(dim=1)
    ours = BITS[name](torch.full((len(m),), level), m.T).sum(dim=0).numpy()
    theirs, _ = product_form.bits(m.numpy().astype(np.int32))
    difference = (ours - theirs)[common.numpy()]
    assert np.abs(difference - np.median(difference)).max() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_coordinate_bits_are_symmetric_and_bounded(name: str) -> None:
    m = torch.tensor([0, 1, 7, 500, 10**6])
    for level in range(len(SCALES)):
        rows = torch.full((len(m),), level)
        column = m.expand(LATTICES[name].dim, -1)
        right, left = BITS[name](rows, column), BITS[name](rows, -column)
        torch.testing.assert_close(right, left, atol=1e-3, rtol=0)  # Gaussians are
        assert (right.diff(dim=1) >= 0).all() and float(right.max()) == 30


@pytest.mark.parametrize("name", NAMES)
def test_candidates_are_priced_like_points(name: str) -> None:
    """Axes before the coordinates' are carried along."""
    dim = LATTICES[name].dim
    m = torch.arange(-3, 3).reshape(2, 3, 1, 1).expand(2, 3, dim, 2)
    levels = torch.tensor([1, 3])
    whole = BITS[name](levels, m.float())
    for a, b in product(range(2), range(3)):
        torch.testing.assert_close(whole[a, b], BITS[name](levels, m[a, b]))


# -- vectors ---------------------------------------------------------------------------------------


def vectors(name: str, weight: float, n: int = 40, seed: int = 0) -> tuple[Vectors, Tensor]:
    """Vectors of all levels, and targets drawn from their densities."""
    lattice, rng = LATTICES[name], np.random.default_rng(seed)
    levels = np.arange(n) % len(SCALES)
    target = SCALES[levels][:, None] * rng.standard_normal((n, lattice.dim))
    weights = weight * rng.uniform(0.8, 1.25, (n, lattice.dim))
    tensors = [torch.from_numpy(a).float() for a in (weights, target)]
    return Vectors(lattice, BITS[name], torch.from_numpy(levels), tensors[0]), tensors[1]


def cost_of(chosen: Vectors, target: Tensor, m: Tensor) -> Tensor:
    """(n, k) costs of points ``m`` (n, k, v)."""
    units = torch.tensor(chosen.lattice.units)
    error = chosen.weight[:, None] * (target[:, None] - m * units).square()
    bits = chosen.bits(chosen.levels, m.permute(1, 2, 0)).permute(2, 0, 1)
    return (error + bits).sum(dim=2).double()


def box(lattice: Lattice, target: Tensor, reach: int) -> Tensor:
    """(n, k, v) all points within ``reach`` steps of 0 and of the point next to each target."""
    sides = np.array(list(product(range(-reach, reach + 1), repeat=lattice.dim)))
    corner = torch.round(target / torch.tensor(lattice.units)).numpy().astype(np.int64)
    rows = [sides[None] + corner[:, None], np.broadcast_to(sides, (len(target), *sides.shape))]
    m = np.concatenate(rows, axis=1)
    inside = lattice.contains(m.reshape(-1, lattice.dim)).reshape(m.shape[:2])
    m[~inside] = m[np.arange(len(m)), inside.argmax(axis=1)][:, None].repeat(m.shape[1], 1)[~inside]
    return torch.from_numpy(m)


REACH = {"int": 12, "hex": 8, "oct": 5, "d4": 3}


@pytest.mark.parametrize("name", REACH)
@pytest.mark.parametrize("weight", [5.0, 30.0, 1e4])
def test_the_cheapest_point_is_the_cheapest_of_a_box(name: str, weight: float) -> None:
    chosen, target = vectors(name, weight)
    m = chosen.cheapest(target).to(torch.int64)
    assert chosen.lattice.contains(m.numpy()).all()
    best = cost_of(chosen, target, box(chosen.lattice, target, REACH[name])).amin(dim=1)
    found = cost_of(chosen, target, m[:, None])[:, 0]
    torch.testing.assert_close(found, best, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", REACH)
def test_the_cheapest_point_where_errors_hardly_count(name: str) -> None:
    """Near the centre, where the points that are cheap to code are."""
    chosen, target = vectors(name, 0.5)
    target = target.clamp(-0.6, 0.6)
    m = chosen.cheapest(target).to(torch.int64)
    best = cost_of(chosen, target, box(chosen.lattice, target, REACH[name])).amin(dim=1)
    torch.testing.assert_close(cost_of(chosen, target, m[:, None])[:, 0], best, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_only_errors_count_under_a_large_weight(name: str) -> None:
    chosen, target = vectors(name, 1e7)
    chosen = Vectors(chosen.lattice, chosen.bits, chosen.levels, torch.full_like(target, 1e7))
    m, nearest = chosen.cheapest(target), chosen.lattice.nearest(target)
    units = torch.tensor(chosen.lattice.units)
    distances = [(target - p * units).square().sum(dim=1) for p in (m, nearest)]
    torch.testing.assert_close(*distances, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_larger_weight_costs_rate_and_lowers_the_error(name: str) -> None:
    units = torch.tensor(LATTICES[name].units)
    errors, rates = [], []
    for weight in (1.0, 5.0, 25.0, 1e5):
        chosen, target = vectors(name, weight, n=400)
        m = chosen.cheapest(target)
        errors.append(float((target - m * units).square().mean()))
        rates.append(float(chosen.bits(chosen.levels, m.T).mean()))
    assert errors == sorted(errors, reverse=True) and rates == sorted(rates)


def expected_point(chosen: Vectors, target: Tensor, m: Tensor, temperature: float) -> Tensor:
    """Brute force over the points ``m`` (n, k, v), each of which may occur several times."""
    cost = cost_of(chosen, target, m)
    for i, points in enumerate(m):
        _, first = np.unique(points.numpy(), axis=0, return_index=True)
        again = np.setdiff1d(np.arange(len(points)), first)
        cost[i, again] = np.inf
    p = torch.softmax(-cost * np.log(2) / temperature, dim=1)
    return torch.einsum("nk,nkv->nv", p, m.double()) * torch.tensor(chosen.lattice.units)


@pytest.mark.parametrize("name", REACH)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_mean_is_the_expectation_over_a_box(name: str, temperature: float) -> None:
    chosen, target = vectors(name, 8.0)
    expected = expected_point(chosen, target, box(chosen.lattice, target, REACH[name]), temperature)
    found = chosen.mean(target, temperature).double()
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)  # far points are left out


def decided(chosen: Vectors, target: Tensor, m: Tensor) -> Tensor:
    """(n,) whether the best point ``m`` (n, v) is better than each of its neighbours by 1/8 bit.

    A lattice's points come in pairs of equal merit where a target is near a face of a cell; at a
    low temperature the mean is then anywhere between.
    """
    lattice = chosen.lattice
    moves = neighbours(lattice)
    others = m[:, None].to(torch.int64) + moves[None]
    gap = cost_of(chosen, target, others).amin(dim=1) - cost_of(chosen, target, m[:, None])[:, 0]
    return gap > 0.125


def neighbours(lattice: Lattice) -> Tensor:
    """(k, v) the steps from a point to those around it."""
    reach = lattice.modulus if lattice.dim < 8 else 2
    sides = range(-reach, reach + 1)
    if lattice.dim < 8:
        steps = np.array(list(product(sides, repeat=lattice.dim)))
    else:  # E8's 240 shortest vectors: halves everywhere, or two whole steps
        halves = np.array(list(product((-1, 1), repeat=8)))
        steps = np.array([s for s in product((-2, 0, 2), repeat=8) if np.count_nonzero(s) == 2])
        steps = np.concatenate([halves, steps])
    steps = steps[lattice.contains(steps) & steps.any(axis=1)]
    return torch.from_numpy(steps)


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("weight", [5.0, 100.0])
def test_the_mean_at_a_low_temperature_is_the_cheapest_point(name: str, weight: float) -> None:
    chosen, target = vectors(name, weight, n=100)
    m = chosen.cheapest(target)
    clear = decided(chosen, target, m)
    assert clear.float().mean() > 0.5
    points = m * torch.tensor(chosen.lattice.units)
    found = chosen.mean(target, 0.005)
    torch.testing.assert_close(found[clear], points[clear], atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@given(
    temperature=st.floats(1e-3, 1e3),
    weight=st.floats(0.1, 1e6),
    shift=st.floats(-1e3, 1e3),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_the_mean_lies_among_the_points_around_the_target(
    name: str, temperature: float, weight: float, shift: float, seed: int
) -> None:
    chosen, target = vectors(name, weight, n=10, seed=seed)
    target = target + shift
    mean = chosen.mean(target, temperature)
    assert torch.isfinite(mean).all()
    span = 1.5 * chosen.lattice.modulus * torch.tensor(chosen.lattice.units)  # of the candidates
    assert ((mean - target).abs() <= span + 1e-3).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_high_temperature_forgets_the_costs_of_bits(name: str) -> None:
    """All candidates are alike then, and their average is within a step of the target."""
    chosen, target = vectors(name, 1.0)
    mean = chosen.mean(target, 1e6)
    step = chosen.lattice.modulus * max(chosen.lattice.units)
    assert float((mean - target).abs().max()) <= step


@pytest.mark.parametrize("name", LATTICES)
def test_no_vectors_at_all(name: str) -> None:
    chosen, target = vectors(name, 1.0, n=0)
    assert chosen.cheapest(target).shape == chosen.mean(target, 1.0).shape == (0, target.shape[1])


# -- parts, fields, quantizers ---------------------------------------------------------------------


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_selecting_keeps_rows_and_their_levels(data: st.DataObject) -> None:
    levels = np.array(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=80)), np.int16)
    for part in pack(levels, [LATTICES[name] for name in ("int", "hex", "oct", "hex", "d4")]):
        n = len(part.index)
        rows = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
        chosen = part.select(rows)
        assert isinstance(chosen, Part) and chosen.lattice is part.lattice
        np.testing.assert_array_equal(chosen.index, part.index[rows])
        np.testing.assert_array_equal(chosen.levels, part.levels[rows])
        assert all(start < stop for _, start, stop in chosen.runs)
        assert sum(stop - start for _, start, stop in chosen.runs) == rows.sum()


PRICES = Prices(DENSITY)
CHANNELS = {name: LatticeChannel(DENSITY, RULES[name]) for name in RULES}


def latent(seed: int = 0, shape: tuple[int, ...] = (5, 6, 11)) -> tuple[np.ndarray, Prior]:
    """One channel of each scale, float32 as a codec's is."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    levels = np.repeat(np.arange(shape[0], dtype=np.int16), n // shape[0])
    centres = rng.normal(0, 3, n).astype(np.float32)
    values = centres + SCALES[levels] * rng.standard_normal(n)
    return values.astype(np.float32), Prior(shape, levels, centres)


@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_a_fields_mean_leaves_quiet_vectors_at_their_centres(name: str, scalar: bool) -> None:
    values, prior = latent()
    values[:66] = prior.centres[:66]  # the channel of the least scale; no outliers
    y, weight = torch.from_numpy(values), torch.full((len(values),), 20.0)
    lattices = CHANNELS[name].tables.lattices
    if scalar:  # as where a walk will pack other vectors
        lattices = [LATTICES["int"]] * len(lattices)
    field = Field(DENSITY.spreads, PRICES, pack(prior.levels, lattices), prior, y, weight)
    mean = field.mean(y, 0.5)
    assert mean.shape == y.shape and torch.isfinite(mean).all()
    torch.testing.assert_close(mean[:66], torch.from_numpy(prior.centres[:66]))
    rest = (mean - torch.from_numpy(prior.centres))[66:]
    assert float((rest - (y - torch.from_numpy(prior.centres))[66:]).abs().max()) < 1.5
    assert float(rest.abs().max()) > 1


@pytest.mark.parametrize("name", RULES)
def test_a_fields_mean_moves_outliers_of_quiet_channels(name: str) -> None:
    values, prior = latent()
    values[:66] = prior.centres[:66]
    values[7] += 3
    y, weight = torch.from_numpy(values), torch.full((len(values),), 200.0)
    lattices = CHANNELS[name].tables.lattices
    mean = Field(DENSITY.spreads, PRICES, pack(prior.levels, lattices), prior, y, weight).mean(
        y, 0.5
    )
    moved = (mean - torch.from_numpy(prior.centres))[:66]
    assert float(moved[7]) == pytest.approx(3, abs=0.5)
    assert int((moved != 0).sum()) <= 8  # the outlier's own vector


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("weight", [3.0, 12.0, 1e6])
def test_a_weighted_quantizer_lowers_rate_plus_weighted_error(name: str, weight: float) -> None:
    channel = CHANNELS[name]
    values, prior = latent(1, (5, 40, 40))
    weights = np.full(len(values), weight, np.float32)
    costs = {}
    for label, choose in (("nearest", None), ("cheapest", Cheapest(PRICES, weights))):
        made = sent(channel, values, prior, choose=choose)
        error = weight * np.square(made.hat.astype(np.float64) - values).sum()
        costs[label] = made.bits().sum() + error
        decoded = received(channel, string_of(made, [7]), prior)
        np.testing.assert_array_equal(decoded.latent.hat, made.hat)
        assert decoded.step_codes == [7]
    if weight > 1e5:
        assert costs["cheapest"] == pytest.approx(costs["nearest"], rel=1e-4)
    else:
        assert costs["cheapest"] < costs["nearest"]
