"""DCVC-TCM's codecs (Sheng et al. 2022): ``IntraNoAR``, and ``DMC`` of predicted frames.

The image codec is CompressAI's ``MeanScaleHyperprior``, of classes of its own. What goes where in a
predicted frame: :mod:`latentopt.adapters.dmc`. What is its own: latents are coded at once, not in
passes, and have neither steps nor rates; priors see no latents of the frame before; the residual's
sees contexts of all three scales. The classes are known by their structure; none of their code is
here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Networks, flat_layers
from latentopt.adapters.dcvc import BottleneckParameters
from latentopt.adapters.dmc import AnyDMCAdapter, Gains, MotionPart, PartAdapter, ResidualPart
from latentopt.adapters.hyperprior import MeanScaleAdapter
from latentopt.adapters.predicted import MakeAdapter, with_key
from latentopt.adapters.scales import STANDARD_SCALES
from latentopt.adapters.spatial_prior import InOnePass
from latentopt.densities import FactorizedDensity, GaussianDensity, ScaleDensity

_OF_IMAGES = ("g_a", "g_s", "h_a", "h_s", "entropy_bottleneck", "gaussian_conditional")

NETWORKS = (
    (
        *("optic_flow", "mv_encoder", "mv_prior_encoder", "mv_prior_decoder", "mv_decoder"),
        "bit_estimator_z_mv",
    ),
    (
        *("feature_adaptor_I", "feature_adaptor_P", "feature_extractor", "context_fusion_net"),
        *("contextual_encoder", "contextual_hyper_prior_encoder", "contextual_hyper_prior_decoder"),
        *("temporal_prior_encoder", "contextual_entropy_parameter", "bit_estimator_z"),
        *("contextual_decoder", "recon_generation_net", "mv_decoder"),
    ),
)
"""Names of those of motion and residual."""


def is_tcm_intra(model: nn.Module) -> bool:
    """Whether a model is DCVC-TCM's ``IntraNoAR``, or built like it."""
    if not all(hasattr(model, name) for name in _OF_IMAGES) or hasattr(model, "context_prediction"):
        return False
    own: Any = model
    if not hasattr(own.entropy_bottleneck, "_matrices"):  # CompressAI calls them otherwise
        return False
    first, last = next(flat_layers(own.h_a)), [*flat_layers(own.h_s)][-1]
    if not (isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d)):
        return False
    return last.out_channels == 2 * first.in_channels  # scales and means


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


class _Part(InOnePass, PartAdapter):
    def _joined(self, networks: Any, given: Sequence[Tensor], before: Tensor | None) -> Tensor:
        return torch.cat([*given], dim=1)


class MotionAdapter(_Part, MotionPart):
    """Motion."""

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.mv_encoder(self.model.optic_flow(x, self.sure.frame.to(x)))

    def flow(self, networks: Networks, y_hat: Tensor) -> Tensor:
        found: Tensor = networks.get("mv_decoder")(y_hat)
        return found

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.mv_prior_encoder(y)

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        return networks.mv_prior_decoder(z_hat)


class ResidualAdapter(_Part, ResidualPart):
    """The frame itself."""

    prior_fusion, in_prior = "contextual_entropy_parameter", 3

    def analysis(self, x: Tensor) -> Tensor:
        contexts = [context.to(x) for context in self.sure.contexts]
        return self.model.contextual_encoder(x, *contexts)

    def _decoded(self, y_hat: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        return self.model.contextual_decoder(y_hat, half, quarter)


def is_tcm(model: nn.Module) -> bool:
    """Whether a model is DCVC-TCM's ``DMC``, or built like it."""
    return all(hasattr(model, name) for names in NETWORKS for name in names)


class TCMAdapter(AnyDMCAdapter):
    """``DMC``, with an image codec for key frames.

    Args:
        key: adapter of the codec of key frames, whose side latent has a stride of 64.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride.
    """

    motion, residual, networks = MotionAdapter, ResidualAdapter, NETWORKS

    def __init__(self, model: nn.Module, portable: bool, key: Adapter):
        plain = torch.ones(1, 1, 1, 1)
        super().__init__(model, portable, key, [Gains(plain, plain)] * 2)


def video(key: nn.Module, adapter: MakeAdapter) -> Callable[[nn.Module, bool], TCMAdapter]:
    """For ``latentopt.wrap(dmc, adapter=video(key, adapter))``.

    Args:
        key: the codec of key frames, with a hyperprior.
        adapter: its adapter, for example ``latentopt.adapters.adapter_class(key)``.
    """
    return with_key(TCMAdapter, key, adapter)
