"""Strides, overridden methods and densities: what a model is taken for is what it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.entropy_models import GaussianMixtureConditional as Mixture
from compressai.latent_codecs import GaussianConditionalLatentCodec, HyperpriorLatentCodec
from compressai.layers import GDN
from compressai.models import Cheng2020Anchor, FactorizedPrior, MeanScaleHyperprior
from compressai.models.base import CompressionModel
from compressai.models.utils import conv, deconv
from support.models import FAMILIES, moving, photo, tiny, tiny_flow
from support.trees import PlainTree
from torch import Tensor, nn

import latentopt
from latentopt.adapters import FactorizedAdapter, MeanScaleAdapter
from latentopt.errors import UnsupportedModelError


def shallow(n: int = 8, m: int = 12) -> tuple[nn.Sequential, nn.Sequential]:
    """Transforms with three strided layers instead of four."""
    analysis = nn.Sequential(conv(3, n), GDN(n), conv(n, n), GDN(n), conv(n, m))
    synthesis = nn.Sequential(
        deconv(m, n), GDN(n, inverse=True), deconv(n, n), GDN(n, inverse=True), deconv(n, 3)
    )
    return analysis, synthesis


class Shallow(FactorizedPrior):
    """Declares a stride of 16, and has 8."""

    def __init__(self) -> None:
        super().__init__(8, 12)
        self.g_a, self.g_s = shallow()


class ShallowHyper(MeanScaleHyperprior):
    """Declares a stride of 64, and has 32."""

    def __init__(self) -> None:
        super().__init__(8, 12)
        self.g_a, self.g_s = shallow()


class ShallowTree(PlainTree):
    """A tree, which declares none; 64 was assumed."""

    def __init__(self) -> None:
        super().__init__()
        self.g_a, self.g_s = shallow(8, 8)


class Own(CompressionModel):
    """A codec of one's own, without a `downsampling_factor`."""

    def __init__(self) -> None:
        super().__init__()
        self.entropy_bottleneck = EntropyBottleneck(12)
        self.g_a, self.g_s = shallow()


def made(cls: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return cls().eval()


STRIDES: dict[str, tuple[type[nn.Module], int, dict[str, Any]]] = {
    "subclass": (Shallow, 8, {}),
    "hyperprior": (ShallowHyper, 32, {}),
    "tree": (ShallowTree, 32, {}),
    "own": (Own, 8, {"adapter": FactorizedAdapter}),
}


@pytest.mark.parametrize("name", STRIDES)
@pytest.mark.parametrize("size", [(64, 64), (75, 130)], ids=str)
def test_the_stride_is_that_of_the_transforms(
    name: str, size: tuple[int, int], tmp_path: Path
) -> None:
    cls, stride, words = STRIDES[name]
    codec, x = latentopt.wrap(made(cls), "hex", **words), photo(*size)
    assert codec.assembly.adapter.stride == stride
    codec.save(tmp_path / "x.lo", x)
    assert torch.equal(codec.load(tmp_path / "x.lo"), codec(x)["x_hat"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stride_that_is_right_is_kept(family: str) -> None:
    model: Any = tiny(FAMILIES[family])
    assert latentopt.wrap(model).assembly.adapter.stride == model.downsampling_factor


class Wrong(FactorizedAdapter):
    @property
    def stride(self) -> int:
        return 32


def test_an_adapter_with_another_stride_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="does not have the stride 32"):
        latentopt.wrap(tiny(FactorizedPrior), adapter=Wrong)


def test_transforms_that_do_not_meet_are_refused() -> None:
    model: Any = tiny(FactorizedPrior)
    model.g_s = shallow()[1]
    with pytest.raises(UnsupportedModelError, match="no stride that fits"):
        latentopt.wrap(model)


def test_a_video_codec_with_another_stride_is_refused() -> None:
    model: Any = tiny_flow()
    model.res_encoder = nn.Sequential(*list(model.res_encoder)[:-1], conv(6, 9, stride=1))
    with pytest.raises(UnsupportedModelError, match="does not have the stride 128"):
        latentopt.wrap(model)


def test_transforms_replaced_after_wrapping_write_no_file(tmp_path: Path) -> None:
    codec = latentopt.wrap(tiny_flow())
    part: Any = codec.parts["image"].model
    part.encoder = nn.Sequential(*list(part.encoder)[:-1], conv(6, 9, stride=1))
    with pytest.raises(UnsupportedModelError, match="where a decoder expects"):
        codec.save(tmp_path / "clip.lov", moving(1, 64, 64))
    assert not list(tmp_path.iterdir())


# -- what a subclass overrides ---------------------------------------------------------------------


class Filtered(MeanScaleHyperprior):
    def decompress(self, strings: Any, shape: Any) -> Any:
        return {"x_hat": 1 - super().decompress(strings, shape)["x_hat"].clamp(0, 1)}


class OwnScan(FAMILIES["mbt2018"]):  # type: ignore[misc]
    def _decompress_ar(self, *args: Any) -> Any:
        return super()._decompress_ar(*args)


class OwnKey(type(tiny_flow())):  # type: ignore[misc]
    def decode_keyframe(self, strings: Any, shape: Any) -> Any:
        return super().decode_keyframe(strings, shape)


class FilteredTree(PlainTree):
    def decompress(self, *args: Any, **kwargs: Any) -> Any:
        return super().decompress(*args, **kwargs)


class OwnTop(HyperpriorLatentCodec):
    def decompress(self, *args: Any, **kwargs: Any) -> Any:
        return super().decompress(*args, **kwargs)


class OwnLeaf(GaussianConditionalLatentCodec):
    def decompress(self, *args: Any, **kwargs: Any) -> Any:
        return super().decompress(*args, **kwargs)


def with_top() -> nn.Module:
    model = PlainTree()
    model.latent_codec = OwnTop(dict(model.latent_codec.latent_codec))
    return model


def with_leaf() -> nn.Module:
    model: Any = PlainTree()
    model.latent_codec.latent_codec["y"] = OwnLeaf()
    return model


def patched() -> nn.Module:
    model: Any = MeanScaleHyperprior(8, 12)
    model.decompress = lambda strings, shape: {}
    return model


OVERRIDDEN = {
    "decompress": lambda: Filtered(8, 12),
    "the scan": lambda: OwnScan(8, 12),
    "a key frame": lambda: OwnKey(hidden=6, latent=9, motion=8, hyper=7),
    "a tree": FilteredTree,
    "its root": with_top,
    "its leaf": with_leaf,
    "in the instance": patched,
}


@pytest.mark.parametrize("what", OVERRIDDEN)
def test_what_would_not_be_called_is_refused(what: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"of its own|no adapter for"):
        latentopt.wrap(OVERRIDDEN[what]().eval())


def test_an_adapter_of_ones_own_does_what_the_override_does() -> None:
    """The remedy that the message names."""

    class Adapter(MeanScaleAdapter):
        def synthesis(self, y_hat: Tensor) -> Tensor:
            return 1 - super().synthesis(y_hat).clamp(0, 1)

    model, x = made(lambda: Filtered(8, 12)), photo(64, 64)
    model.update()
    theirs = model.compress(x)
    codec = latentopt.wrap(model, "int", shift=False, portable=False, adapter=Adapter)
    expected = model.decompress(theirs["strings"], theirs["shape"])["x_hat"]
    torch.testing.assert_close(codec(x)["x_hat"], expected, atol=1e-5, rtol=0)


# -- densities -------------------------------------------------------------------------------------


class Mixed(Cheng2020Anchor):
    def __init__(self, n: int = 12, k: int = 3):
        super().__init__(n)
        self.gaussian_conditional = Mixture(K=k)
        last = self.entropy_parameters[-1].in_channels
        self.entropy_parameters[-1] = nn.Conv2d(last, 3 * k * n, 1)


class Laplace(GaussianConditional):
    def _standardized_cumulative(self, inputs: Tensor) -> Tensor:
        below = 0.5 * torch.exp(-inputs.abs())
        return torch.where(inputs < 0, below, 1 - below)


class OtherBottleneck(EntropyBottleneck):
    def _logits_cumulative(self, inputs: Tensor, stop_gradient: bool) -> Tensor:
        return super()._logits_cumulative(2 * inputs, stop_gradient)


def with_density(cls: type[nn.Module], name: str, density: nn.Module) -> nn.Module:
    model = cls(8, 12)
    setattr(model, name, density)
    return model


def tree_of(density: nn.Module) -> nn.Module:
    model: Any = PlainTree()
    model.latent_codec.latent_codec["y"].gaussian_conditional = density
    return model


DENSITIES = {
    "a mixture": Mixed,
    "another cumulative": lambda: with_density(
        MeanScaleHyperprior, "gaussian_conditional", Laplace(None)
    ),
    "another bottleneck": lambda: with_density(
        FactorizedPrior, "entropy_bottleneck", OtherBottleneck(12)
    ),
    "in a tree": lambda: tree_of(Laplace(None)),
}


@pytest.mark.parametrize("what", DENSITIES)
def test_densities_that_no_adapter_reads_are_refused(what: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"codes with a .* whose .* is not that of"):
        latentopt.wrap(made(DENSITIES[what]))
