"""Contexts: what has crossed adapts what is to come, alike on both sides, where it pays."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.crossing import InGroups, received, sent, string_of
from support.models import FAMILIES, photo, tiny
from torch import nn

import latentopt
from latentopt import BitstreamError, InputError, WeightsError
from latentopt.densities import ConditionalDensity, FactorizedDensity, GaussianDensity
from latentopt.latents import Point, Prior
from latentopt.latents.lattice import Latent, LatticeChannel, Moved, Tables, channel
from latentopt.latents.lattice.context import (
    FRACTION,
    UNIT,
    Context,
    Network,
    Surroundings,
    schedule,
)
from latentopt.latents.lattice.context.network import SHAPES, SHIFTS, TOP
from latentopt.latents.lattice.context.surroundings import OF_ELEMENTS, OF_PLACES, Features
from latentopt.lattices import RULES

DENSITY = GaussianDensity(np.geomspace(0.11, 30, 40))
CHANNELS = {
    name: LatticeChannel(DENSITY, RULES[name], corrected=True, context=True) for name in RULES
}
AT_ONCE = {name: kind for name, kind in FAMILIES.items() if name != "mbt2018"}
SHAPES_OF_LATENTS = ((1, 1, 1), (3, 1, 1), (2, 1, 7), (7, 5, 1), (6, 9, 11), (90, 2, 3))


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A context is used, whether it pays or not."""
    monkeypatch.setattr(channel, "cheapest", lambda latents: latents[-1])


def waves(shape: tuple[int, int, int], seed: int = 0) -> tuple[NDArray, Prior]:
    """A latent whose scales go up and down together in all channels, and its prior, which does
    not know of that."""
    rng = np.random.default_rng(seed)
    m, h, w = shape
    wave = 2.0 ** (2 * np.sin(np.add.outer(np.arange(h) / 3, np.arange(w) / 4)))
    levels = rng.integers(15, 30, m).astype(np.int16)
    values = DENSITY.scales[levels][:, None, None] * wave * rng.standard_normal(shape)
    centres = rng.normal(0, 3, m * h * w).astype(np.float32)
    return values.ravel() + centres, Prior(shape, np.repeat(levels, h * w), centres)


def with_network(own: LatticeChannel, seed: int, size: int = 300) -> LatticeChannel:
    """The same channel with a network of random weights, which moves everything about."""
    rng = np.random.default_rng(seed)
    layers = [rng.integers(-size, size + 1, shape).astype(np.int32) for shape in SHAPES]
    return own.with_network(Network(layers))


def narrowed(own: LatticeChannel) -> LatticeChannel:
    """The same channel with a network that takes all for far narrower than it is."""
    layers = [np.zeros(shape, np.int32) for shape in SHAPES]
    layers[-1][-1, 0] = -24 * FRACTION << SHIFTS[-1]
    return own.with_network(Network(layers))


# -- the channel -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("shape", SHAPES_OF_LATENTS)
def test_latents_round_trip_whatever_the_network_says(
    name: str, shape: tuple[int, int, int]
) -> None:
    for seed in range(3):
        own = with_network(CHANNELS[name], seed)
        values, prior = waves(shape, seed)
        latent = sent(own, values, prior, np.full(shape[0], seed, np.int32))
        decoded = received(own, string_of(latent), prior).latent
        assert isinstance(decoded, Latent) and latent.adapted and decoded.adapted
        np.testing.assert_array_equal(decoded.hat, latent.hat)
        np.testing.assert_array_equal(decoded.prior.levels, latent.prior.levels)
        assert decoded.string() == latent.string()
        slack = 100 + 0.01 * latent.bits().sum()
        assert abs(8 * len(latent.string()) - latent.bits().sum()) < slack


@pytest.mark.parametrize("name", RULES)
def test_where_it_loses_it_is_off_and_costs_a_bit(name: str) -> None:
    own, off = narrowed(CHANNELS[name]), CHANNELS[name].without_context()
    values, prior = waves((6, 9, 11))
    latent, plain = sent(own, values, prior), sent(off, values, prior)
    assert latent.adapted is False and plain.adapted is None
    np.testing.assert_array_equal(latent.hat, plain.hat)
    np.testing.assert_allclose(latent.bits().sum(), plain.bits().sum() + 1)
    assert len(plain.string()) <= len(latent.string()) <= len(plain.string()) + 4
    found = received(own, string_of(latent), prior).latent
    np.testing.assert_array_equal(found.hat, plain.hat)


def test_the_shipped_network_pays_where_neighbours_are_alike() -> None:
    own = CHANNELS["int"]
    values, prior = waves((30, 24, 36))
    latent, plain = sent(own, values, prior), sent(own.without_context(), values, prior)
    assert latent.adapted
    assert latent.bits().sum() < 0.93 * plain.bits().sum()


@pytest.mark.usefixtures("always")
def test_points_of_the_integer_lattice_stay_where_they_are() -> None:
    values, prior = waves((6, 9, 11))
    plain = sent(CHANNELS["int"].without_context(), values, prior)
    latent = sent(with_network(CHANNELS["int"], 0), values, prior)
    assert (latent.prior.centres != plain.prior.centres).any()
    np.testing.assert_allclose(latent.hat, plain.hat, atol=1e-5)


@pytest.mark.usefixtures("always")
def test_an_estimate_of_decoded_values_is_what_was_used() -> None:
    own = with_network(CHANNELS["int"], 2)
    values, prior = waves((6, 9, 11))
    latent = sent(own, values, prior)
    found, _ = own.packed(prior, plain_points(values, prior))
    np.testing.assert_array_equal(found.levels, latent.prior.levels)
    np.testing.assert_allclose(found.centres, latent.prior.centres, atol=1e-5)


VECTORS = [name for name, rule in RULES.items() if rule.wide.dim > 1]


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", VECTORS)
def test_vectors_are_those_of_the_levels_before(name: str) -> None:
    own, other = (with_network(CHANNELS[name], seed) for seed in (0, 1))
    values, prior = waves((30, 9, 11))
    _, parts = own.packed(prior, values)
    _, same = other.packed(prior, np.zeros_like(values))
    moved = [part for part in parts if isinstance(part, Moved)]
    assert moved and sum(part.index.size for part in moved) > 0.9 * len(values)
    for part, again in zip(moved, (part for part in same if isinstance(part, Moved))):
        np.testing.assert_array_equal(part.index, again.index)
        assert (part.own != again.own).any()
        assert (prior.levels[part.index] == part.levels[:, None]).all()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", VECTORS)
def test_points_stay_on_their_lattice(name: str) -> None:
    own = with_network(CHANNELS[name], 0)
    values, prior = waves((30, 9, 11))
    latent = sent(own, values, prior)
    assert (latent.prior.centres != prior.centres).any() == RULES[name].wide.has_whole_units
    for group in latent.groups:
        for part, m in zip(group.parts, group.m):
            if isinstance(part, Moved):
                assert part.lattice.contains(m + part.moves).all()
                x = torch.from_numpy((values - prior.centres)[part.index])
                at = (latent.hat - prior.centres)[part.index] / np.array(part.lattice.units)
                nearest = part.lattice.nearest(x).numpy()
                np.testing.assert_allclose(at, nearest, atol=1e-4)


@pytest.mark.parametrize("name", ["e8", "oct"])
def test_moved_vectors_pay_where_neighbours_are_alike(name: str) -> None:
    own = CHANNELS[name]
    values, prior = waves((30, 24, 36))
    latent, plain = sent(own, values, prior), sent(own.without_context(), values, prior)
    assert latent.adapted
    assert latent.bits().sum() < 0.95 * plain.bits().sum()


def test_a_search_keeps_the_vectors_that_it_chose_for() -> None:
    values, prior = waves((6, 9, 11))
    for name, on in (("int", False), ("e8", True)):
        own = narrowed(CHANNELS[name])
        latent = own.send(
            InGroups(prior, [np.arange(len(values))]), Point(values), None, own.nearest
        )
        assert latent.adapted is on


def plain_points(values: NDArray, prior: Prior) -> NDArray:
    return prior.values(np.rint(prior.residual(values)))


def test_a_walk_of_several_groups_has_no_context() -> None:
    values, prior = waves((6, 9, 11))
    groups = np.array_split(np.arange(len(values)), 3)
    walk = InGroups(prior, groups)
    own = with_network(CHANNELS["int"], 0)
    latent = own.send(walk, latentopt.latents.Point(values))
    np.testing.assert_array_equal(latent.prior.levels, prior.levels)


@given(cut=st.integers(1, 40), seed=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_a_cut_string_is_refused(cut: int, seed: int) -> None:
    values, prior = waves((6, 9, 11), seed)
    string = string_of(sent(CHANNELS["int"], values, prior))
    with pytest.raises(BitstreamError):
        received(CHANNELS["int"], string[:-cut], prior)


def test_other_networks_have_other_digests_and_dumps_carry_them() -> None:
    one, other = (with_network(CHANNELS["int"], seed) for seed in (0, 1))
    digests = {own.digest() for own in (one, other, CHANNELS["int"], one.without_context())}
    assert len(digests) == 4
    made = LatticeChannel(DENSITY, RULES["int"], "exact", one.dump(), True, True)
    assert made.digest() == one.digest()


# -- passes and what is known in them ----------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES_OF_LATENTS)
def test_every_element_crosses_once_and_loud_channels_come_first(shape: tuple[int, ...]) -> None:
    loudness = np.random.default_rng(0).integers(0, 1000, shape[0])
    passes = list(schedule(loudness, 100, (shape[1], shape[2])))
    index = np.concatenate([each.index for each in passes])
    np.testing.assert_array_equal(np.sort(index), np.arange(np.prod(shape)))
    loud = [loudness[each.channels] for each in passes if each.half is not None]
    assert all(a.min() >= b.max() for a, b in zip(loud[::2], loud[2::2]) if len(a) > len(b))
    assert all((loudness[each.channels] <= 100).all() for each in passes if each.half is None)


def test_features_are_made_of_what_has_crossed_and_of_nothing_else() -> None:
    rng = np.random.default_rng(0)
    expected = rng.integers(200, 3000, (30, 7, 9)).astype(np.int32)
    residual = np.rint(rng.normal(0, 2, expected.shape))
    changed = residual + 5

    def features(values: NDArray, stop: int) -> list[NDArray]:
        """With other residuals from pass ``stop`` on."""
        around, found = Surroundings(expected), []
        for i, each in enumerate(schedule(around.loudness, 0, (7, 9))):
            of = around.features(each)
            found.append(np.concatenate([of.places.ravel(), of.elements.ravel()]))
            around.note(each, (values if i < stop else changed).ravel()[each.index])
        return found

    whole = features(residual, 99)
    for stop in range(1, len(whole)):
        other = features(residual, stop)
        same = [np.array_equal(a, b) for a, b in zip(whole, other)]
        assert all(same[: stop + 1]) and not all(same[stop + 1 :] or [False])


def test_louder_neighbours_are_seen_as_such() -> None:
    expected = np.full((1, 8, 8), UNIT, np.int32)
    first, second = schedule(np.array([100]), 0, (8, 8))
    for factor, octaves in ((1, 0), (4, 2)):
        around = Surroundings(expected)
        around.note(first, np.full(len(first.index), float(factor)))
        near = around.features(second).elements[1]
        np.testing.assert_allclose(near / 16, octaves, atol=0.5)


def test_features_are_small_integers_for_any_latent() -> None:
    expected = np.array([0, 1, 300_000], np.int32)[:, None, None] * np.ones((1, 4, 5), np.int32)
    around = Surroundings(expected)
    for each in schedule(around.loudness, -1, (4, 5)):
        of = around.features(each)
        assert of.places.shape == (OF_PLACES, each.places.sum())
        assert of.elements.shape == (OF_ELEMENTS, len(each.channels), each.places.sum())
        for found in (of.places, of.elements):
            assert (found == np.rint(found)).all() and np.abs(found).max() <= 127
        around.note(each, np.full(len(each.index), -1e9))


# -- the network -----------------------------------------------------------------------------------


def in_integers(network: Network, features: Features) -> NDArray[np.int64]:
    """What it says, in arithmetic that has no rounding."""
    channels = features.elements.shape[1]
    places = np.tile(features.places, channels)
    x = np.concatenate([places, features.elements.reshape(OF_ELEMENTS, -1)]).T.astype(np.int64)
    *hidden, last = (layer.astype(np.int64) for layer in network.layers)
    for layer, shift in zip(hidden, (6, 8)):
        x = np.clip((x @ layer[:-1] + layer[-1]) >> shift, 0, TOP)
    return ((x @ last[:-1] + last[-1]) >> 10).T


def test_it_computes_what_integers_do() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        layers = [rng.integers(-1023, 1024, shape).astype(np.int32) for shape in SHAPES]
        for layer in layers:
            layer[-1] = rng.integers(-(1 << 22), 1 << 22, layer.shape[1])
        network = Network(layers)
        places, elements = (
            rng.integers(-127, 128, shape).astype(np.float32)
            for shape in ((OF_PLACES, 100), (OF_ELEMENTS, 5, 100))
        )
        features = Features(places, elements)
        np.testing.assert_array_equal(network(features), in_integers(network, features))


def test_weights_that_could_not_be_summed_exactly_are_refused() -> None:
    layers = [np.zeros(shape, np.int32) for shape in SHAPES]
    layers[1][3, 3] = 1024
    with pytest.raises(WeightsError, match="beyond"):
        Network(layers)
    with pytest.raises(WeightsError, match="not"):
        Network.load(np.zeros(7, np.int32))


# -- densities -------------------------------------------------------------------------------------


def test_a_factorized_prior_gets_a_ladder_behind_its_own_levels() -> None:
    own = FactorizedDensity(tiny(FAMILIES["bmshj2018-factorized"]).entropy_bottleneck)
    density = own.conditional
    assert isinstance(density, ConditionalDensity) and own.stretchable.conditional.ladder
    assert list(density.ladder) == list(range(own.levels, density.levels))
    np.testing.assert_allclose(density.spreads[: own.levels], own.spreads)
    assert (np.diff(density.spreads[density.ladder.start :]) > 0).all()
    tables = Tables(density, RULES["int"], "exact", None)
    alone = Tables(own, RULES["int"], "exact", None)
    for level in range(own.levels):
        np.testing.assert_array_equal(
            tables["int", level].arrays()[2], alone["int", level].arrays()[2]
        )
    t = np.linspace(-3, 3, 7)[:, None]
    levels = np.array([0, 1, own.levels, density.levels - 1, 2, own.levels + 5, 0])
    assert np.isfinite(density.score(levels, t)).all()
    assert len(density.draw(levels, np.random.default_rng(0))) == 7
    moved = density.rescaled(levels, np.full(7, 2))
    assert moved.tolist() == [0, 1, own.levels + 2, density.levels - 1, 2, own.levels + 7, 0]


def test_levels_move_from_the_rung_of_their_own_magnitude() -> None:
    density = FactorizedDensity(
        tiny(FAMILIES["bmshj2018-factorized"], gain=20.0).entropy_bottleneck
    )
    tables = Tables(density.conditional, RULES["int"], "exact", None)
    magnitudes = tables.magnitudes(UNIT)
    assert CHANNELS["int"].context
    context = Context(CHANNELS["int"].context.predictor, magnitudes, density.conditional.ladder)
    levels = np.arange(density.levels)
    ratio = magnitudes[context.base(levels)] / np.maximum(magnitudes[levels], 1)
    wide = magnitudes[levels] > UNIT // 8
    assert wide.any() and (np.abs(np.log2(ratio[wide])) < 0.2).all()


# -- whole codecs ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("family", "words"),
    [
        *((family, {"quant": "int", "shift": False}) for family in AT_ONCE),
        ("bmshj2018-factorized", {"quant": "int", "scales": True}),
        ("bmshj2018-hyperprior", {"quant": "hex", "scales": True}),
        ("mbt2018-mean", {"preset": "default"}),
    ],
)
def test_a_fresh_codec_decodes_files(family: str, words: dict[str, Any], tmp_path: Path) -> None:
    model = tiny(AT_ONCE[family], gain=20.0)
    codec = latentopt.wrap(model, context=True, **words)
    x = photo(70, 90)
    codec.save(tmp_path / "x.lo", x)
    fresh = latentopt.wrap(model, context=True, **words)
    assert torch.equal(fresh.load(tmp_path / "x.lo"), codec(x)["x_hat"])
    assert (tmp_path / "x.lo").read_bytes()[3] == 2
    assert "context" in str(codec.explain(tmp_path / "x.lo"))
    with pytest.raises(BitstreamError, match="context=True, not False"):
        latentopt.wrap(model, **{**words, "context": False}).load(tmp_path / "x.lo")


def test_codecs_with_a_context_model_of_their_own_refuse() -> None:
    with pytest.raises(InputError, match="of its own"):
        latentopt.wrap(tiny(FAMILIES["mbt2018"]), "int", context=True)


@pytest.mark.parametrize("words", [{"pmf": "paper"}, {"format": "compressai", "preset": "fast"}])
def test_what_excludes_a_context(words: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), context=True, **words)


def test_real_weights_gain(
    real_mean: nn.Module, real_factorized: nn.Module, kodak_crop: torch.Tensor
) -> None:
    for model in (real_mean, real_factorized):
        sizes = []
        for context in (False, True):
            codec = latentopt.wrap(model, "int", shift=False, context=context)
            out = codec.compress(kodak_crop)
            sizes.append(len(out["strings"][0][0]))
            x_hat = codec.decompress(**out)["x_hat"]
        assert torch.allclose(x_hat, codec(kodak_crop)["x_hat"])
        assert sizes[1] < 0.97 * sizes[0]


# -- a network of one's own ------------------------------------------------------------------------


def test_calibration_fits_a_network_that_travels_with_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("latentopt.codec.calibrate"), "_STEPS", 300)
    model, x = tiny(FAMILIES["mbt2018-mean"], gain=20.0), photo(96, 96)
    codec = latentopt.wrap(model, "int", shift=False, context=True)
    before = len(codec.compress(x)["strings"][0][0])
    assert latentopt.calibrate(codec, [x], context=True) is codec
    assert len(codec.compress(x)["strings"][0][0]) < before
    codec.save(tmp_path / "x.lo", x)
    other = latentopt.wrap(model, "int", shift=False, context=True)
    with pytest.raises(BitstreamError, match="state_dict"):
        other.load(tmp_path / "x.lo")
    other.load_state_dict(codec.state_dict())
    assert torch.equal(other.load(tmp_path / "x.lo"), codec.load(tmp_path / "x.lo"))
    with pytest.raises(InputError, match="context=True"):
        latentopt.calibrate(latentopt.wrap(model, "int"), [x], context=True)
    with pytest.raises(InputError, match="at least one"):
        latentopt.calibrate(codec, [], context=True)
