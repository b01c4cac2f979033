"""bmshj2018-factorized: one latent, one learned density per channel."""

from torch import nn

from latentopt.adapters.base import ChannelAdapter
from latentopt.densities import FactorizedDensity


class FactorizedAdapter(ChannelAdapter):
    """CompressAI's ``FactorizedPrior`` (Ballé et al. 2018)."""

    def make_densities(self) -> tuple[FactorizedDensity]:
        """See :meth:`Adapter.make_densities`."""
        return (FactorizedDensity(self.model.entropy_bottleneck),)

    def decoder_parts(self) -> list[nn.Module]:
        """See :meth:`Adapter.decoder_parts`."""
        return [self.model.entropy_bottleneck, *self.synthesis_parts]
