"""DCVC-TCM's codecs (Sheng et al. 2022): ``IntraNoAR``, and ``DMC`` of predicted frames.

The image codec is CompressAI's ``MeanScaleHyperprior``, of classes of its own. The classes are
known by their structure; none of their code is here.
"""

from torch import nn

from latentopt.adapters.base import flat_layers
from latentopt.adapters.dcvc import BottleneckParameters
from latentopt.adapters.hyperprior import MeanScaleAdapter
from latentopt.adapters.scales import STANDARD_SCALES
from latentopt.densities import FactorizedDensity, GaussianDensity, ScaleDensity

_OF_IMAGES = ("g_a", "g_s", "h_a", "h_s", "entropy_bottleneck", "gaussian_conditional")


def is_tcm_intra(model: nn.Module) -> bool:
    """Whether a model is DCVC-TCM's ``IntraNoAR``, or built like it."""
    if not all(hasattr(model, name) for name in _OF_IMAGES) or hasattr(model, "context_prediction"):
        return False
    if not hasattr(model.entropy_bottleneck, "_matrices"):  # CompressAI calls them otherwise
        return False
    first, last = next(flat_layers(model.h_a)), [*flat_layers(model.h_s)][-1]
    both = isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d)
    return both and last.out_channels == 2 * first.in_channels  # scales and means


class TCMIntraAdapter(MeanScaleAdapter):
    """DCVC-TCM's ``IntraNoAR``."""

    @property
    def places(self) -> None:
        """Its own coder is another than CompressAI's."""

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        own = self.model.entropy_bottleneck
        parameters = BottleneckParameters(
            list(own._matrices), list(own._biases), list(own._factors), own.quantiles
        )
        return GaussianDensity(STANDARD_SCALES), FactorizedDensity(parameters)
