"""bmshj2018-hyperprior and mbt2018-mean: Gaussians whose parameters come from a side latent."""

from functools import cached_property

import numpy as np
import torch
from compressai.models.base import get_scale_table
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.coding import Prior
from latentopt.models.base import Parameters, SideAdapter, double_copy
from latentopt.pmf import FactorizedDensity, GaussianDensity


class ScaleAdapter(SideAdapter):
    """CompressAI's ``ScaleHyperprior`` (Ballé et al. 2018): zero means."""

    stride = 64
    main_density: GaussianDensity

    def refresh(self) -> None:
        self.side_density = FactorizedDensity(self.model.entropy_bottleneck)
        table = self.model.gaussian_conditional.scale_table
        scales = table if table.numel() else get_scale_table()
        self.main_density = GaussianDensity(scales.double().cpu().numpy())
        self.__dict__.pop("_double_h_s", None)

    @cached_property
    def _double_h_s(self) -> nn.Module:
        return double_copy(self.model.h_s)

    def decoder_parts(self) -> list[nn.Module]:
        conditional = self.model.gaussian_conditional
        return [self.model.entropy_bottleneck, self.model.h_s, conditional, self.model.g_s]

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.h_a(y.abs())

    def parameters(self, side: NDArray, shape: tuple[int, ...], draft: bool = False) -> Parameters:
        z_hat = torch.from_numpy(side).reshape(1, *shape)
        if self.portable and not draft:
            output = self._double_h_s(z_hat)
        else:
            output = self.model.h_s(z_hat.to(next(self.model.h_s.parameters()))).float()
        return self.split(output[0].cpu().numpy())

    def split(self, output: NDArray) -> Parameters:
        """Entropy parameters from the hyper-synthesis' output (channels, h, w)."""
        return Parameters(output, np.zeros_like(output))

    def prior(self, parameters: Parameters) -> Prior:
        scales = parameters.scales.reshape(-1).astype(np.float64)
        # A scale belongs to the first table entry that is not below it, as in CompressAI.
        levels = np.searchsorted(self.main_density.scales[:-1], scales).astype(np.int16)
        return Prior(parameters.scales.shape, levels, parameters.means.reshape(-1))


class MeanScaleAdapter(ScaleAdapter):
    """CompressAI's ``MeanScaleHyperprior`` (Minnen et al. 2018)."""

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.h_a(y)

    def split(self, output: NDArray) -> Parameters:
        scales, means = np.split(output, 2)
        return Parameters(scales, means)
