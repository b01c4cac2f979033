"""bmshj2018-hyperprior and mbt2018-mean: Gaussians whose parameters come from a side latent."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Scale, cpu_copy, derived, flat_layers, scale_table
from latentopt.adapters.side import Describe, Leaf, Parameters, SideAdapter
from latentopt.adapters.tiles import Tiled
from latentopt.densities import FactorizedDensity, GaussianDensity, ScaleDensity


class ScaleAdapter(SideAdapter):
    """CompressAI's ``ScaleHyperprior`` (Ballé et al. 2018): zero means."""

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        main = GaussianDensity(scale_table(self.model.gaussian_conditional))
        return main, FactorizedDensity(self.model.entropy_bottleneck)

    @derived
    def _portable(self) -> nn.Module:
        """The hyper-synthesis for portable streams."""
        return self.portable_synthesis()

    def portable_synthesis(self) -> nn.Module:
        """A copy of the hyper-synthesis whose scales agree between machines."""
        return cpu_copy(self.model.h_s)

    def decoder_parts(self) -> list[nn.Module]:
        model = self.model
        entropy_model = [model.entropy_bottleneck, model.h_s, model.gaussian_conditional]
        return [*entropy_model, *self.synthesis_parts]

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.h_a(y.abs())

    def describing(self, y: Tensor) -> Describe | None:
        def describe(side: Tensor) -> tuple[Tensor, Tensor]:
            scales = self.model.h_s(side)
            return scales, torch.zeros_like(scales)

        return describe

    def draft_features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        z_hat = torch.from_numpy(side).reshape(1, *shape)
        output = self.model.h_s(z_hat.to(next(self.model.h_s.parameters()))).float()
        return output[0].cpu().numpy()

    def features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        if not self.portable:
            return self.draft_features(side, shape)
        z_hat = torch.from_numpy(side).reshape(1, *shape)
        return Tiled(self).features(self._portable, z_hat)[0].cpu().numpy()

    def main_shape(self, features: NDArray) -> tuple[int, ...]:
        return self.split(features).scales.shape

    def visit(self, features: NDArray, leaf: Leaf) -> None:
        parameters = self.split(features)
        scales, means = parameters.scales.ravel(), parameters.means.ravel()
        leaf(np.arange(len(scales)), scales, means)

    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        return self.split(features)

    def split(self, output: NDArray) -> Parameters:
        """Entropy parameters from the last network's output (channels, ...)."""
        return Parameters(output, np.zeros_like(output))


class MeanScaleAdapter(ScaleAdapter):
    """CompressAI's ``MeanScaleHyperprior`` (Minnen et al. 2018)."""

    def portable_synthesis(self) -> nn.Module:
        layers = list(flat_layers(self.model.h_s))
        last = max(i for i, layer in enumerate(layers) if not isinstance(layer, Scale))
        head = layers[last]
        splits = isinstance(head, nn.Conv2d) and head.groups == 1
        if splits and not self.exact:
            return _SplitHead(layers, last)
        return cpu_copy(self.model.h_s)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.h_a(y)

    def describing(self, y: Tensor) -> Describe | None:
        return lambda side: self.model.h_s(side).chunk(2, 1)

    def split(self, output: NDArray) -> Parameters:
        scales, means = np.split(output, 2)
        return Parameters(scales, means)


class _SplitHead(nn.Module):
    """A hyper-synthesis whose last convolution gives the scales in float64, the means in float32.

    Only the scales select tables, so only they must agree between machines; a mean that is off by
    its last bit moves one element of the reconstruction by as much, and nothing else. The last
    convolution is most of the work, and float64 takes four times as long.
    """

    def __init__(self, layers: list[nn.Module], last: int):
        super().__init__()
        conv = layers[last]
        assert isinstance(conv, nn.Conv2d)
        half = conv.out_channels // 2
        self.body = cpu_copy(nn.Sequential(*layers[:last]))
        self.scales = cpu_copy(nn.Sequential(_outputs(conv, 0, half), *layers[last + 1 :]))
        means = nn.Sequential(_outputs(conv, half, 2 * half), *layers[last + 1 :])
        self.means = cpu_copy(means, torch.float32)

    def forward(self, z_hat: Tensor) -> Tensor:
        hidden = self.body(z_hat)
        return torch.cat([self.scales(hidden), self.means(hidden.float()).double()], dim=1)


def _outputs(conv: nn.Conv2d, start: int, stop: int) -> nn.Conv2d:
    """The part of a convolution that computes these output channels."""
    part = copy.deepcopy(conv)
    part.weight = nn.Parameter(conv.weight.detach()[start:stop].clone())
    part.out_channels = stop - start
    if conv.bias is not None:
        part.bias = nn.Parameter(conv.bias.detach()[start:stop].clone())
    return part
