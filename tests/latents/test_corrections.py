"""Scale corrections: found by the encoder, coded with the image, applied on both sides."""

from pathlib import Path

import numpy as np
import pytest
import torch
from compressai.models import FactorizedPrior
from compressai.models.base import get_scale_table
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.crossing import InGroups, received, sent, string_of
from support.models import FAMILIES, photo, tiny
from torch import nn

import latentopt
from latentopt import BitstreamError
from latentopt.densities import Density, FactorizedDensity, GaussianDensity, RescaledDensity
from latentopt.encoder import Prices, fit_corrections
from latentopt.latents import Coded, Point, Prior
from latentopt.latents.lattice import (
    CORRECTION_BITS,
    MAX_CORRECTION,
    LatticeChannel,
)
from latentopt.lattices import RULES

DENSITY = GaussianDensity(get_scale_table().double().numpy())
CHANNEL = LatticeChannel(DENSITY, RULES["int"], corrected=True)
PLAIN = LatticeChannel(DENSITY, RULES["int"])
PLANE = 4000


def channels(levels: list[int], wider: list[int], seed: int = 0) -> tuple[NDArray, Prior]:
    """Channels of those levels, drawn as if each were so many levels wider."""
    rng = np.random.default_rng(seed)
    drawn = np.repeat(np.array(levels) + wider, PLANE)
    centres = rng.normal(0, 3, len(drawn))
    values = centres + DENSITY.scales[drawn] * rng.standard_normal(len(drawn))
    prior = Prior(
        (len(levels), 40, PLANE // 40), np.repeat(levels, PLANE).astype(np.int16), centres
    )
    return values, prior


def fitted(density: Density, prior: Prior, values: NDArray) -> NDArray[np.int32]:
    return fit_corrections(density, Prices(density), prior, values)


# -- how they are found ----------------------------------------------------------------------------


@pytest.mark.parametrize("level", [14, 20, 27])
def test_channels_that_are_k_levels_wider_are_corrected_by_k(level: int) -> None:
    k = np.array([-5, -3, -1, 0, 1, 2, 4, 7])
    values, prior = channels([level] * len(k), k.tolist())
    np.testing.assert_array_equal(fitted(DENSITY, prior, values), k)


def test_what_is_wider_than_any_correction_gets_the_largest() -> None:
    values, prior = channels([20, 25], [12, -12])
    assert fitted(DENSITY, prior, values).tolist() == [MAX_CORRECTION, -MAX_CORRECTION]


def test_wide_channels_that_are_as_they_should_are_left_alone() -> None:
    levels = [36, 40, 44, 50]  # standard deviations of 9 to 52
    values, prior = channels(levels, [0] * 4)
    assert fitted(DENSITY, prior, values).tolist() == [0] * 4


def test_a_channel_with_several_levels_is_corrected_as_a_whole() -> None:
    rng = np.random.default_rng(4)
    levels = rng.integers(10, 28, 2 * PLANE).astype(np.int16)
    k = np.repeat([3, -2], PLANE)
    values = DENSITY.scales[levels + k] * rng.standard_normal(len(levels))
    prior = Prior((2, 1, PLANE), levels, np.zeros(len(levels)))
    assert fitted(DENSITY, prior, values).tolist() == [3, -2]


def test_few_elements_do_not_pay_for_a_correction() -> None:
    """Nothing is cheapest to say, so a channel of zeros, or of three elements, is left alone."""
    assert int(CORRECTION_BITS.argmin()) == MAX_CORRECTION
    np.testing.assert_allclose(CORRECTION_BITS, CORRECTION_BITS[::-1], atol=1e-3)
    levels = np.full(12, 20, np.int16)
    values = np.tile([1.0, -1.0, 0.0], 4) * 1.5
    found = fitted(DENSITY, Prior((4, 1, 3), levels, np.zeros(12)), values)
    assert found.dtype == np.int32 and found.tolist() == [0] * 4


def test_corrections_make_the_latent_cheaper() -> None:
    values, prior = channels([16, 20, 24], [4, -4, 0])
    found = fitted(DENSITY, prior, values)
    plain = sent(PLAIN, values, prior)
    better = sent(CHANNEL, values, prior, found)
    np.testing.assert_array_equal(better.hat, plain.hat)
    spent = CORRECTION_BITS[found + MAX_CORRECTION].sum()
    assert better.bits().sum() + spent < 0.98 * plain.bits().sum()


def test_learned_densities_are_corrected_by_their_widths() -> None:
    widths = [2.0 ** (k / 4) for k in (-1, 1, -2, 2, -3, 3, -4, 4)]
    own = FactorizedDensity(tiny(FactorizedPrior).entropy_bottleneck)
    density = RescaledDensity(own, widths)
    k = np.array([0, 1, -1, 4, -4, 2, 0, 3, -2, -3, 1, 0])[: own.levels]
    drawn = density.rescaled(np.repeat(np.arange(own.levels), PLANE), np.repeat(k, PLANE))
    values = density.draw(drawn, np.random.default_rng(1))
    levels = np.repeat(np.arange(own.levels, dtype=np.int16), PLANE)
    prior = Prior((own.levels, 1, PLANE), levels, np.zeros(len(levels)))
    wide = np.array([own.spread(level) for level in range(own.levels)]) > 5
    found = fitted(density, prior, values)
    np.testing.assert_array_equal(found[~wide], k[~wide])


# -- how they are coded ----------------------------------------------------------------------------

SMALL = GaussianDensity(np.geomspace(0.11, 12, 30))
CHANNELS = {name: LatticeChannel(SMALL, RULES[name], corrected=True) for name in RULES}


@pytest.mark.parametrize("name", RULES)
@given(
    corrections=st.lists(st.integers(-MAX_CORRECTION, MAX_CORRECTION), min_size=3, max_size=3),
    codes=st.lists(st.integers(0, 255), min_size=6, max_size=6),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_corrected_latents_round_trip(
    name: str, corrections: list[int], codes: list[int], seed: int
) -> None:
    channel, rng = CHANNELS[name], np.random.default_rng(seed)
    levels = rng.integers(0, 30, 3 * 50).astype(np.int16)
    centres = rng.normal(0, 2, len(levels))
    values = centres + 2 * SMALL.scales[levels] * rng.standard_normal(len(levels))
    prior = Prior((3, 5, 10), levels, centres)
    latent = sent(channel, values, prior, np.array(corrections, dtype=np.int32))
    string = string_of(latent, codes)
    found = received(channel, string, prior, "split")
    decoded = found.latent
    np.testing.assert_array_equal(decoded.hat, latent.hat)
    np.testing.assert_array_equal(decoded.prior.levels, latent.prior.levels)
    assert decoded.corrections is not None and decoded.corrections.tolist() == corrections
    assert found.step_codes == codes
    spent = CORRECTION_BITS[np.array(corrections) + MAX_CORRECTION].sum()
    assert len(string) * 8 <= (latent.bits().sum() + spent) * 1.001 + 56 + 72


@pytest.mark.parametrize("name", RULES)
def test_corrections_reach_groups_that_cut_through_channels(name: str) -> None:
    channel, rng = CHANNELS[name], np.random.default_rng(3)
    levels = rng.integers(0, 30, 3 * 50).astype(np.int16)
    centres = rng.normal(0, 2, len(levels))
    values = centres + SMALL.scales[levels] * rng.standard_normal(len(levels))
    corrections = np.array([7, 0, -7], dtype=np.int32)
    groups = np.array_split(rng.permutation(len(levels)), 4)
    walk = InGroups(Prior((3, 5, 10), levels, centres), groups)
    string = string_of(channel.send(walk, Point(values), corrections))
    promised = walk.decoded
    decoded = Coded.read(channel, walk, string, "sign").latent
    for hat, found in zip(promised, walk.decoded, strict=True):
        np.testing.assert_array_equal(found, hat)
    expected = np.clip(levels + np.repeat(corrections, 50), 0, 29)
    np.testing.assert_array_equal(decoded.prior.levels, expected)


def test_the_decoded_levels_are_the_corrected_ones() -> None:
    values, prior = channels([10, 60, 0], [0, 0, 0])
    corrections = np.array([-3, 7, -7], dtype=np.int32)
    latent = sent(CHANNEL, values, prior, corrections)
    expected = prior.corrected(DENSITY, corrections)
    np.testing.assert_array_equal(latent.prior.levels, expected.levels)
    assert sorted(set(latent.prior.levels.tolist())) == [0, 7, 63]
    np.testing.assert_array_equal(latent.prior.centres, prior.centres)


def test_an_uncorrected_reader_does_not_take_a_corrected_string() -> None:
    values, prior = channels([20, 20], [3, -3])
    latent = sent(CHANNEL, values, prior, np.array([3, -3], dtype=np.int32))
    string = string_of(latent)
    with pytest.raises(BitstreamError):
        received(PLAIN, string, prior)


# -- whole codecs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("quant", ["int", "auto"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_codec_decodes_corrected_files(family: str, quant: str, tmp_path: Path) -> None:
    model = tiny(FAMILIES[family])
    codec = latentopt.wrap(model, quant, shift=False, scales=True)
    x = photo(70, 90)
    written = codec.save(tmp_path / "x.lo", x)
    fresh = latentopt.wrap(model, quant, shift=False, scales=True)
    x_hat = fresh.load(tmp_path / "x.lo")
    assert torch.equal(x_hat, codec(x)["x_hat"])
    assert written == (tmp_path / "x.lo").stat().st_size
    plain = latentopt.wrap(model, quant, shift=False)
    assert codec.settings != plain.settings
    with pytest.raises(BitstreamError, match="scales=True, not False"):
        plain.load(tmp_path / "x.lo")


@pytest.mark.parametrize("family", FAMILIES)
def test_corrections_are_used_and_each_image_has_its_own(family: str) -> None:
    codec = latentopt.wrap(tiny(FAMILIES[family], gain=20.0), "oct", shift=False, scales=True)
    x = torch.cat([photo(96, 96), photo(96, 96, seed=1) * 0.2])
    with torch.no_grad():
        coded = [c.latent.corrections for c in codec.encode(x)["y"]]
    assert all(c.shape == (12,) and np.abs(c).max() <= MAX_CORRECTION for c in coded)
    assert any(c.any() for c in coded) and not np.array_equal(*coded)
    out = codec.compress(x)
    assert torch.equal(codec.decompress(**out)["x_hat"], codec(x)["x_hat"])
    alone = [[codec.compress(one[None])["strings"][0][0]] for one in x]
    assert [[string] for string in out["strings"][0]] == alone


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_is_its_likelihoods_and_its_corrections(family: str) -> None:
    codec = latentopt.wrap(tiny(FAMILIES[family]), "hex", shift=False, scales=True)
    x = photo(128, 192)
    bits = -float(codec(x)["likelihoods"]["y"].double().log2().sum())  # corrections included
    length = 8 * len(codec.compress(x)["strings"][0][0])
    assert (
        bits * 0.999 <= length <= bits * 1.001 + 56
    )  # the step's byte, and what the coder flushes


def test_real_weights_gain_by_corrections(
    real_mean: nn.Module, real_factorized: nn.Module, kodak_crop: torch.Tensor
) -> None:
    for model in (real_mean, real_factorized):
        plain = latentopt.wrap(model, "int", shift=False)
        codec = latentopt.wrap(model, "int", shift=False, scales=True)
        out, before = codec.compress(kodak_crop), plain.compress(kodak_crop)
        assert torch.equal(codec.decompress(**out)["x_hat"], plain(kodak_crop)["x_hat"])
        assert len(out["strings"][0][0]) < len(before["strings"][0][0])
