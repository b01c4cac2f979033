"""Side latents by rate: what the search believes, and that what it finds is cheaper."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import trees, vbr
from support.models import FAMILIES, photo, tiny, tiny_flow
from torch import Tensor, nn

import latentopt
from latentopt import Codec, VideoCodec, zoo
from latentopt.adapters import MeanScaleAdapter, Parameters, SideAdapter, at_rate
from latentopt.codec.formats import NATIVE, OWN
from latentopt.codec.recipe import Recipe, get_preset
from latentopt.encoder import Aim, Schedule, SideSearch
from latentopt.encoder.side_search import MainBits, SideObjective, side_search
from latentopt.latents import Prior

SIDE = Schedule(6, (1.0, 0.1), (0.4, 0.3), caution=2, momentum=0.4)
X = photo(128, 192)
SEARCHED = ("bmshj2018-hyperprior", "mbt2018-mean", "mbt2018")


def recipe(format: str = OWN, side: Schedule | None = SIDE) -> Recipe:
    """The fast preset's, with its search for codecs with a context, too."""
    fast = replace(get_preset("fast", format), contextual=None, factorized=None)
    assert fast.effort
    return replace(fast, effort=replace(fast.effort, side=side))


def latents(adapter: SideAdapter, x: Tensor) -> tuple[Tensor, Tensor]:
    """Main and side latent of an image whose size is a multiple of the stride."""
    with torch.no_grad():
        y = adapter.analysis(x)
        [z] = adapter.deeper(y)
    return y, z


def cost(codec: Codec, x: Tensor) -> float:
    """Rate and distortion in bits, of what is written."""
    out = codec.compress(x)
    rec = codec.decompress(**out)["x_hat"][..., : x.shape[-2], : x.shape[-1]]
    error = float((rec - x).square().sum(dtype=torch.float64))
    return 8 * sum(len(one) for latent in out["strings"] for one in latent) + codec.trade * error


# -- what it believes ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", SEARCHED)
@torch.no_grad()
def test_families_say_what_their_walks_say(family: str) -> None:
    adapter = latentopt.wrap(tiny(FAMILIES[family])).assembly.adapter
    assert isinstance(adapter, SideAdapter)
    y, z = latents(adapter, X)
    describe = adapter.describing(y)
    assert describe
    scales, means = describe(z)
    walk = adapter.walk([z.double().numpy().ravel()], z.shape[-2:])
    expected = walk.parameters(y.numpy().ravel())
    for ours, theirs in ((scales, expected.scales), (means, expected.means)):
        np.testing.assert_allclose(ours.numpy().ravel(), theirs.ravel(), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_parts_of_videos_do_likewise() -> None:
    codec: VideoCodec = latentopt.wrap(tiny_flow())
    adapter = codec.parts["image"].assembly.adapter
    y, z = latents(adapter, photo(128, 256))
    scales, means = adapter.describing(y)(z)
    expected = adapter.walk([z.numpy().ravel()], z.shape[-2:]).parameters(y.numpy().ravel())
    np.testing.assert_allclose(scales.numpy()[0], expected.scales, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(means.numpy()[0], expected.means, atol=1e-4, rtol=1e-4)


def test_gradients_and_weights_are_those_of_the_bits() -> None:
    """On a side latent whose elements are the means of two main ones: of known curvature."""
    scale = 2.0
    y = torch.zeros(1, 2, 4, 4)

    def describe(side: Tensor) -> tuple[Tensor, Tensor]:
        means = 3 * side.expand(1, 2, 4, 4)
        return torch.full_like(means, scale), means

    bits = MainBits(describe, y, (1, 4, 4), 0.11)
    side = torch.zeros(16)
    weight = bits.weight(side)
    # A Gaussian's bits are t^2 / (2 ln 2 scale^2), with t = 3 z, of two elements.
    np.testing.assert_allclose(weight.numpy(), 2 * 9 / (2 * np.log(2) * scale**2), rtol=0.05)
    pull = SideObjective(bits, 2 * weight).pull(side + 0.3, (1, 4, 4))
    np.testing.assert_allclose(pull.numpy(), -0.3 / 2, rtol=0.05)  # halfway to 0


# -- what it finds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", SEARCHED)
@torch.no_grad()
def test_the_target_is_never_dearer(family: str) -> None:
    codec = latentopt.wrap(tiny(FAMILIES[family]), recipe=recipe())
    adapter, channels = codec.assembly.adapter, codec.assembly.channels
    search = side_search(adapter, channels, codec.recipe.effort)
    assert isinstance(search, SideSearch)
    y, z = latents(adapter, X)
    found = search.choose(Aim(y[0].numpy(), X), z[0].numpy())
    prior = Prior.of_channels(adapter.side_density, found.shape)

    def bits(target: np.ndarray) -> float:
        hat = prior.values(np.rint(prior.residual(target.ravel())))
        walk = adapter.walk([hat], z.shape[-2:])
        own = channels[1].density
        rounded = adapter.main_density.integer_bits(
            *_scales_and_residual(walk.parameters(y.numpy().ravel()), y)
        )
        likelihood = [own.cdf(k, m + 0.5) - own.cdf(k, m - 0.5) for k, m in _by_channel(prior, hat)]
        return rounded - float(np.log2(np.maximum(np.concatenate(likelihood), 1e-9)).sum())

    # It believes in no tails, which these weights, drawn at random, have seen none without.
    assert bits(found) <= bits(z[0].numpy()) * 1.01


def _scales_and_residual(found, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    scales = np.maximum(found.scales.ravel().astype(np.float64), 0.11)
    return scales, y.numpy().ravel() - found.means.ravel()


def _by_channel(prior: Prior, hat: np.ndarray):
    rows = prior.residual(hat).reshape(prior.shape[0], -1)
    return list(enumerate(rows))


@pytest.mark.parametrize("format", [OWN, NATIVE])
def test_a_trained_codec_gains(format: str) -> None:
    model = zoo.load("tiny-mbt2018-mean", 3)
    x = photo(192, 256)
    searched = latentopt.wrap(model, recipe=recipe(format))
    rounded = latentopt.wrap(model, recipe=recipe(format, side=None))
    before, after = cost(rounded, x), cost(searched, x)
    assert after < before
    out = searched.compress(x)
    if format == NATIVE:  # a decoder in the field reads the side latent that was chosen
        z = [codec.encode(x)["z"][0].latent.hat for codec in (searched, rounded)]
        assert not np.array_equal(*z)
        theirs = model.decompress(out["strings"], out["shape"])["x_hat"]
        torch.testing.assert_close(searched.decompress(**out)["x_hat"], theirs)
    else:
        assert torch.equal(searched(x)["x_hat"], searched.decompress(**out)["x_hat"])


def test_it_runs_in_inference_mode() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["mbt2018"]), recipe=recipe())
    expected = codec.compress(X)
    with torch.inference_mode():
        assert codec.compress(X) == expected


# -- where there is nothing to search --------------------------------------------------------------


def silent() -> dict[str, nn.Module]:
    name = next(iter(vbr.MODELS))
    return {"variable rate": at_rate(vbr.lively(name), gain=0.7), "tree": trees.lively("plain")}


@pytest.mark.parametrize("kind", ["variable rate", "tree"])
def test_families_that_cannot_say_are_coded_as_before(kind: str) -> None:
    model = silent()[kind]
    codecs = [latentopt.wrap(model, recipe=recipe(side=side)) for side in (SIDE, None)]
    assert codecs[0].compress(X)["strings"] == codecs[1].compress(X)["strings"]


class Louder(MeanScaleAdapter):
    """Someone's own codec, whose outputs are logarithms of the scales."""

    def split(self, output: np.ndarray) -> Parameters:
        log_scales, means = np.split(output, 2)
        return Parameters(np.exp(log_scales), means)


def test_adapters_that_read_outputs_otherwise_are_not_searched() -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    codecs = [
        latentopt.wrap(model, adapter=Louder, recipe=recipe(side=side)) for side in (SIDE, None)
    ]
    assert codecs[0].compress(X)["strings"] == codecs[1].compress(X)["strings"]


def test_one_latent_has_no_side() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), recipe=recipe())
    assembly = codec.assembly
    assert side_search(assembly.adapter, assembly.channels, codec.recipe.effort) is None
