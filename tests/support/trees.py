"""Codecs with a context model, of every kind that CompressAI has, and some of our own making."""

from inspect import signature
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.latent_codecs import (
    EntropyBottleneckLatentCodec,
    GaussianConditionalLatentCodec,
    HyperLatentCodec,
    HyperpriorLatentCodec,
    LatentCodec,
    RasterScanLatentCodec,
)
from compressai.models import (
    Cheng2020Anchor,
    Cheng2020AnchorCheckerboard,
    Cheng2020Attention,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
)
from compressai.models.base import SimpleVAECompressionModel
from compressai.models.sensetime import Elic2022Chandelier, Elic2022Official
from torch import nn

from support.models import photo
from support.once import made_once

NEXT_LAYOUT = "h_a" in signature(HyperpriorLatentCodec).parameters
"""Whether this CompressAI is one after 1.2.8, see :class:`latentopt.adapters.tree.Root`."""


def hyperprior(
    y: LatentCodec, bottleneck: EntropyBottleneck, h_a: nn.Module, h_s: nn.Module
) -> HyperpriorLatentCodec:
    """A tree's root as this version of CompressAI makes it."""
    make: Any = HyperpriorLatentCodec
    if NEXT_LAYOUT:
        z = EntropyBottleneckLatentCodec(entropy_bottleneck=bottleneck)
        return make({"y": y, "z": z}, h_a=h_a, h_s=h_s)
    return make({"y": y, "hyper": HyperLatentCodec(bottleneck, h_a, h_s)})


class RasterScan(SimpleVAECompressionModel):
    """mbt2018, assembled from latent codecs."""

    def __init__(self, n: int = 8):
        super().__init__()
        parts: Any = JointAutoregressiveHierarchicalPriors(n, n)
        self.g_a, self.g_s = parts.g_a, parts.g_s
        y = RasterScanLatentCodec(
            gaussian_conditional=GaussianConditional(None),
            entropy_parameters=parts.entropy_parameters,
            context_prediction=parts.context_prediction,
        )
        self.latent_codec = hyperprior(y, EntropyBottleneck(n), parts.h_a, parts.h_s)


class PlainTree(SimpleVAECompressionModel):
    """mbt2018-mean, assembled from latent codecs."""

    def __init__(self, n: int = 8):
        super().__init__()
        parts: Any = MeanScaleHyperprior(n, n)
        self.g_a, self.g_s = parts.g_a, parts.g_s
        y = GaussianConditionalLatentCodec()
        self.latent_codec = hyperprior(y, EntropyBottleneck(n), parts.h_a, parts.h_s)


class Inverting(JointAutoregressiveHierarchicalPriors):
    """Built as InvCompress is: the transforms are methods, and compress() is its own."""

    def __init__(self, n: int = 8, m: int = 12):
        super().__init__(n, m)
        self.there, self.back = self.g_a, self.g_s
        self.g_a = self.g_s = None

    def g_a_func(self, x: torch.Tensor) -> torch.Tensor:
        return 40 * self.there(x)

    def g_s_func(self, y_hat: torch.Tensor) -> torch.Tensor:
        return self.back(y_hat / 40)

    def compress(self, x: torch.Tensor) -> dict[str, Any]:
        raise NotImplementedError


MODELS = {
    "mbt2018": lambda: JointAutoregressiveHierarchicalPriors(8, 12),
    "cheng2020-anchor": lambda: Cheng2020Anchor(8),
    "cheng2020-attn": lambda: Cheng2020Attention(8),
    "checkerboard": lambda: Cheng2020AnchorCheckerboard(8),
    "elic": lambda: Elic2022Official(8, 24, groups=[4, 8, 12]),
    "elic-chandelier": lambda: Elic2022Chandelier(8, 24, groups=[4, 8, 12]),
    "raster scan": RasterScan,
    "plain": PlainTree,
}


@made_once
def lively(name: str) -> nn.Module:
    """A seeded model whose latent spreads over many levels."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = MODELS[name]().eval()
    with torch.no_grad():
        spread = model.g_a(photo(64, 64)).std()
        [*_, last] = [m for m in model.g_a.modules() if isinstance(m, nn.Conv2d)]
        last.weight.mul_(4 / spread)
        # CompressAI's versions register a tree's hyper-synthesis before or after the rest.
        names = [n for n, _ in model.named_modules() if n.endswith(("entropy_parameters", "h_s"))]
        names.sort(key=lambda name: name.startswith("latent_codec.h"))
        for head in map(model.get_submodule, names[1:]):
            convolutions = [m for m in head.modules() if isinstance(m, nn.Conv2d)]
            if convolutions:
                bias = convolutions[-1].bias
                bias[: len(bias) // 2] += torch.linspace(0.2, 3, len(bias) // 2)
    model.update()
    return model
