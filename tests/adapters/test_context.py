"""Autoregressive codecs: wavefronts, trees of latent codecs, InvCompress, codecs of one's own."""

from typing import Any

import numpy as np
import pytest
import torch
from compressai.latent_codecs import (
    EntropyBottleneckLatentCodec,
    GaussianConditionalLatentCodec,
    HyperpriorLatentCodec,
)
from compressai.layers import MaskedConv2d
from compressai.models import (
    JointAutoregressiveHierarchicalPriors,
)
from numpy.typing import NDArray
from support.models import photo, tiny
from support.trees import MODELS, Inverting, PlainTree, lively
from torch import nn

import latentopt
from latentopt import UnsupportedModelError
from latentopt.adapters import with_step
from latentopt.adapters.context import ContextModel, Wavefront


def size(out: dict[str, Any]) -> int:
    return sum(len(string) for strings in out["strings"] for string in strings)


# -- wavefronts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel, slope", [(3, 2), (5, 3), (7, 4)])
def test_slope_follows_from_the_mask(kernel: int, slope: int) -> None:
    wavefront = Wavefront.of(MaskedConv2d(2, 2, kernel, padding=kernel // 2))
    assert wavefront.slope == slope
    steps = list(wavefront.steps(4, 6))
    assert len(steps) == 6 + slope * 3
    when = np.empty((4, 6), dtype=int)
    for time, (rows, columns) in enumerate(steps):
        when[rows, columns] = time
    for h, w in np.ndindex(4, 6):
        for dh, dw in wavefront.taps:
            if h + dh >= 0 and 0 <= w + dw < 6:
                assert when[h + dh, w + dw] < when[h, w]


def test_a_mask_that_sees_the_future_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="not decoded yet"):
        Wavefront.of(MaskedConv2d(2, 2, 5, padding=2, mask_type="B"))
    with pytest.raises(UnsupportedModelError, match="strides"):
        Wavefront.of(MaskedConv2d(2, 2, 5, padding=2, stride=2))


@pytest.mark.parametrize("kernel", [3, 5])
def test_wavefronts_compute_what_position_by_position_does(kernel: int) -> None:
    """Same scales and means, in float64, to 1e-12."""
    torch.manual_seed(0)
    convolution = MaskedConv2d(6, 12, kernel, padding=kernel // 2).double()
    head = nn.Sequential(nn.Conv2d(20, 16, 1), nn.LeakyReLU(), nn.Conv2d(16, 12, 1)).double()
    given = torch.randn(8, 5, 7, dtype=torch.float64)
    y = torch.randn(6, 5, 7, dtype=torch.float64).numpy() * 3
    found = np.empty((2, y.size))

    def leaf(index: NDArray, scales: NDArray, means: NDArray) -> NDArray:
        found[:, index] = scales, means
        return np.rint(y.ravel()[index] - means) + means

    with torch.no_grad():
        walked = ContextModel(convolution, head).walk(
            given, np.arange(y.size).reshape(y.shape), leaf
        )
        expected = np.empty((2, *y.shape))
        y_hat = torch.zeros(1, 6, 5, 7, dtype=torch.float64)
        for h, w in np.ndindex(5, 7):
            context = convolution(y_hat)[0, :, h, w]
            both = torch.cat([given[:, h, w], context])[None, :, None, None]
            scales, means = head(both)[0, :, 0, 0].numpy().reshape(2, -1)
            expected[:, :, h, w] = scales, means
            y_hat[0, :, h, w] = torch.from_numpy(np.rint(y[:, h, w] - means) + means)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-12, rtol=0)
    np.testing.assert_allclose(walked, y_hat[0].numpy(), atol=1e-12, rtol=0)


# -- every kind of tree ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_int_without_shift_is_the_model_itself(name: str) -> None:
    model = lively(name)
    x = photo(64, 128)
    with torch.no_grad():
        theirs = model.compress(x)
        x_hat = model.decompress(theirs["strings"], theirs["shape"])["x_hat"].clamp(0, 1)
    codec = latentopt.wrap(model, "int", shift=False)
    ours = codec.compress(x)
    decoded = codec.decompress(ours["strings"], ours["shape"])["x_hat"]
    torch.testing.assert_close(decoded, x_hat, atol=1e-4, rtol=0)
    assert size(ours) <= size(theirs) * 1.15 + 8  # random weights: nothing is Gaussian


@pytest.mark.parametrize("quant", ["int", "hex", "oct", "d4", "e8"])
@pytest.mark.parametrize("name", MODELS)
def test_round_trips(name: str, quant: str) -> None:
    codec, x = latentopt.wrap(lively(name), quant), photo(50, 110)
    out = codec.compress(x)
    x_hat = codec.decompress(out["strings"], out["shape"])["x_hat"]
    promised = codec(x)
    assert torch.equal(x_hat, promised["x_hat"])
    bits = sum(float(-p.double().log2().sum()) for p in promised["likelihoods"].values())
    assert abs(size(out) * 8 - bits) < 0.002 * bits + 8 * 6 * 4


def test_a_latent_codec_without_adapter_is_named() -> None:
    model = PlainTree().eval()
    parts = {**model.latent_codec.latent_codec, "y": EntropyBottleneckLatentCodec(channels=8)}
    model.latent_codec = HyperpriorLatentCodec(parts)
    with pytest.raises(UnsupportedModelError, match="EntropyBottleneckLatentCodec"):
        latentopt.wrap(model)

    class Other(GaussianConditionalLatentCodec):
        def compress(self, *args: Any) -> dict[str, Any]:
            return super().compress(*args)

    model.latent_codec = HyperpriorLatentCodec(parts | {"y": Other()})
    with pytest.raises(UnsupportedModelError, match="Other"):
        latentopt.wrap(model)


@pytest.mark.parametrize(("name", "digest"), [("plain", "6d2159bb"), ("elic", "d5de37c6")])
def test_files_know_a_tree_by_its_weights_whatever_its_layout(name: str, digest: str) -> None:
    """The same in CompressAI 1.2.8 and after it: a file of one is decoded by the other."""
    model = MODELS[name]()
    for parameter in model.parameters():
        parameter.data = torch.full_like(parameter, 0.01)
    assert latentopt.wrap(model).assembly.weights_hash.hex() == digest


def test_trees_have_no_other_steps() -> None:
    model = PlainTree().eval()
    assert with_step(model, 1.0) is model
    with pytest.raises(UnsupportedModelError, match="PlainTree"):
        with_step(model, 2.0)


# -- InvCompress, and codecs of one's own ----------------------------------------------------------


def test_invcompress_is_known_by_its_structure() -> None:
    torch.manual_seed(0)
    model = Inverting().eval()
    model.update()
    x = photo(64, 64)
    codec = latentopt.wrap(model, "oct")
    out = codec.compress(x)
    assert torch.equal(codec.decompress(**out)["x_hat"], codec(x)["x_hat"])
    other = latentopt.wrap(model, "oct")
    other.model.back[0].weight.data += 0.1
    other.update(force=True)
    assert other.identity.weights_hash != codec.identity.weights_hash


def test_context_sees_points_before_the_shift(tiny_mean: nn.Module) -> None:
    """A shifted stream has the symbols of the unshifted one: only the step bytes differ."""
    model = tiny(JointAutoregressiveHierarchicalPriors)
    x = photo(64, 64)
    plain = latentopt.wrap(model, "hex", shift=False).compress(x)["strings"][0][0]
    shifted = latentopt.wrap(model, "hex", shift="grid").compress(x)["strings"]
    if shifted[1][0][0] == 0:  # no shift of the side latent: then the main one's symbols agree
        assert shifted[0][0][1:] == plain[1:]
