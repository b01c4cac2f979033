"""Quantization steps per element: what goes on the lattice is (values - centres) / steps."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.crossing import InGroups, received, sent, string_of
from support.toy import Toy

from latentopt.densities import GaussianDensity
from latentopt.encoder import Cheapest, Field, Prices, fit_corrections, measure
from latentopt.latents import Point, Prior
from latentopt.latents.lattice import LatticeChannel, pack
from latentopt.lattices import RULES

SCALES = np.array([0.15, 0.4, 0.8, 1.5, 6.0])
DENSITY = GaussianDensity(SCALES)
PRICES = Prices(DENSITY)
CHANNELS = {name: LatticeChannel(DENSITY, RULES[name]) for name in RULES}
SHAPE = (3, 10, 8)
N = int(np.prod(SHAPE))


def prior_of(seed: int, steps: bool = True) -> Prior:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, len(SCALES), N).astype(np.int16)
    return Prior(SHAPE, levels, rng.normal(0, 3, N), rng.uniform(0.5, 4, N) if steps else None)


def values_of(prior: Prior, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed + 1)
    return prior.values(SCALES[prior.levels] * rng.standard_normal(N))


def plain(prior: Prior, values: NDArray) -> tuple[Prior, NDArray]:
    """The same residual, without steps or centres."""
    return Prior(SHAPE, prior.levels, np.zeros(N)), prior.residual(values)


def test_residual_and_values_are_inverse() -> None:
    prior = prior_of(0)
    residual = np.random.default_rng(1).normal(0, 2, N)
    np.testing.assert_allclose(prior.residual(prior.values(residual)), residual, atol=1e-12)
    assert prior.steps is not None
    np.testing.assert_array_equal(prior.scaled(residual, 2), residual * prior.steps**2)


@pytest.mark.parametrize("name", RULES)
@given(seed=st.integers(0, 1 << 30), outlier=st.floats(-1e5, 1e5))
@settings(max_examples=20, deadline=None)
def test_decoding_inverts_encoding(name: str, seed: int, outlier: float) -> None:
    prior = prior_of(seed)
    values = values_of(prior, seed)
    values[seed % N] += outlier
    latent = sent(CHANNELS[name], values, prior)
    string = string_of(latent, [7])
    found = received(CHANNELS[name], string, prior)
    decoded = found.latent
    assert found.step_codes == [7]
    np.testing.assert_array_equal(decoded.hat, latent.hat)
    for direction in ("density", "sign", "split"):
        np.testing.assert_array_equal(decoded.directions(direction), latent.directions(direction))
    assert abs(len(string) * 8 - latent.bits().sum()) < 48


@pytest.mark.parametrize("name", RULES)
@given(seed=st.integers(0, 1 << 30))
@settings(max_examples=10, deadline=None)
def test_a_step_is_a_unit_of_the_lattice(name: str, seed: int) -> None:
    """The string is that of the residual in units of the step, and so are the points."""
    prior, channel = prior_of(seed), CHANNELS[name]
    values = values_of(prior, seed)
    bare, residual = plain(prior, values)
    stepped, plainly = sent(channel, values, prior), sent(channel, residual, bare)
    assert string_of(stepped, [0]) == string_of(plainly, [0])
    np.testing.assert_array_equal(stepped.hat, prior.values(plainly.hat))
    for direction in ("density", "sign", "split"):
        expected = prior.scaled(plainly.directions(direction))
        np.testing.assert_array_equal(stepped.directions(direction), expected)


@pytest.mark.parametrize("name", RULES)
def test_steps_of_one_change_no_byte(name: str) -> None:
    prior, channel = prior_of(3, steps=False), CHANNELS[name]
    values = values_of(prior, 3)
    ones = Prior(SHAPE, prior.levels, prior.centres, np.ones(N))
    without, with_ones = sent(channel, values, prior), sent(channel, values, ones)
    assert string_of(without, [0]) == string_of(with_ones, [0])
    np.testing.assert_array_equal(without.hat, with_ones.hat)
    assert without.prior.steps is None


@pytest.mark.parametrize("name", ["int", "hex", "e8"])
def test_groups_keep_their_own_steps(name: str) -> None:
    prior = prior_of(4)
    values = values_of(prior, 4)
    assert prior.steps is not None
    order = np.random.default_rng(0).permutation(N)
    groups = np.array_split(order, 3)
    walk = InGroups(prior, groups)
    latent = CHANNELS[name].send(walk, Point(values))
    for index, hat in zip(groups, walk.decoded, strict=True):
        reach = prior.steps[index] * (0.5 if name == "int" else 2)
        assert (np.abs(hat - values[index]) <= reach + 1e-9).all()
    assert latent.prior.steps is not None
    np.testing.assert_array_equal(latent.prior.steps, prior.steps)
    assert float(np.abs(latent.hat - values).max()) < 8


# -- the encoder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_weights_are_per_squared_latent_unit(name: str) -> None:
    """rate + w (v - v_hat)^2 = rate + w step^2 (r - m)^2: the points chosen are the same."""
    prior = prior_of(5)
    values = values_of(prior, 5)
    weight = np.random.default_rng(6).uniform(1, 20, N)
    bare, residual = plain(prior, values)
    found = []
    for p, v, w in ((prior, values, weight), (bare, residual, prior.scaled(weight, 2))):
        latent = sent(CHANNELS[name], v, p, choose=Cheapest(PRICES, w))
        found.append(string_of(latent, [0]))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["int", "oct", "e8"])
def test_expectations_are_in_latent_units(name: str) -> None:
    prior, lattices = prior_of(7), CHANNELS[name].tables.lattices
    values = values_of(prior, 7)
    bare, residual = plain(prior, values)
    weight = torch.from_numpy(np.random.default_rng(8).uniform(1, 20, N)).float()
    means = []
    for p, v, w in (
        (prior, values, weight),
        (bare, residual, torch.from_numpy(prior.scaled(weight.numpy(), 2)).float()),
    ):
        y = torch.from_numpy(v).float()
        field = Field(DENSITY.spreads, PRICES, pack(p.levels, lattices), p, y, w)
        means.append(field.mean(y, 0.5).numpy())
    np.testing.assert_allclose(means[0], prior.values(means[1]), atol=2e-4)


def test_corrections_are_fitted_to_residuals() -> None:
    prior = prior_of(9)
    values = values_of(prior, 9)
    bare, residual = plain(prior, values)
    np.testing.assert_array_equal(
        fit_corrections(DENSITY, PRICES, prior, values),
        fit_corrections(DENSITY, PRICES, bare, residual),
    )


def drawn(step: float | None) -> Any:
    """A latent of one channel, all of one step."""
    n = 40 * 40
    steps = None if step is None else np.full(n, step)
    prior = Prior((1, 40, 40), np.zeros(n, np.int16), np.zeros(n), steps)
    density = GaussianDensity(np.array([1.0]), tails=())
    return Toy(density, prior, lambda y: 0.01 * y.expand(-1, 3, -1, -1) + 0.5)


def test_the_trade_counts_errors_of_whole_steps() -> None:
    """A lattice three times as coarse makes nine times the error for the same rate."""
    fine, coarse = (measure(drawn(step)) for step in (None, 3.0))
    np.testing.assert_allclose(coarse.squared, fine.squared, rtol=1e-5)
    assert coarse.trade == pytest.approx(fine.trade / 9, rel=1e-6)
