"""bmshj2018-factorized: one latent, one learned density per channel."""

from torch import nn

from latentopt.adapters.base import ChannelAdapter
from latentopt.densities import FactorizedDensity


class FactorizedAdapter(ChannelAdapter):
    """CompressAI's ``FactorizedPrior`` (Ballé et al. 2018)."""

    def refresh(self) -> None:
        self.main_density = FactorizedDensity(self.model.entropy_bottleneck)

    def decoder_parts(self) -> list[nn.Module]:
        return [self.model.entropy_bottleneck, *self.synthesis_parts]
