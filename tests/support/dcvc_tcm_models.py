"""Small codecs of our own with the structure of DCVC-TCM's."""

import torch
from torch import Tensor, nn

from support.dcvc_models import (
    MAIN,
    SIDE,
    BitEstimator,
    ContextualDecoder,
    ContextualEncoder,
    Flow,
    Fusion,
    Pyramid,
    Reconstruction,
    down,
    up,
)

LOUDER = 12  # so that latents are of some size
SCALES = torch.linspace(0.3, 4, MAIN)


class Bottleneck(nn.Module):
    """The parameters of a bottleneck three units wide, by the names of older CompressAI."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((3, 1), (3, 3), (1, 3))
        start = torch.linspace(-0.5, 0.5, SIDE)[:, None, None]
        self._matrices = nn.ParameterList([torch.zeros(SIDE, *size) for size in sizes])
        self._biases = nn.ParameterList([start.expand(-1, size[0], 1).clone() for size in sizes])
        self._factors = nn.ParameterList(
            [0.2 * torch.ones(SIDE, size[0], 1) for size in sizes[:-1]]
        )
        medians = torch.linspace(-0.3, 0.3, SIDE)[:, None]
        self.quantiles = nn.Parameter(torch.cat([medians - 9, medians, medians + 9], 1)[:, None])


def describing() -> nn.Sequential:
    """Scales and means from a side latent."""
    layers = (up(SIDE, MAIN, 2), nn.LeakyReLU(0.2), nn.Conv2d(MAIN, 2 * MAIN, 3, padding=1))
    return nn.Sequential(*layers)


class MeanScale(nn.Module):
    """As ``IntraNoAR`` of DCVC-TCM."""

    def __init__(self) -> None:
        super().__init__()
        self.g_a, self.g_s = down(3, MAIN, 4), up(MAIN, 3, 4)
        self.h_a, self.h_s = down(MAIN, SIDE, 2), describing()
        self.entropy_bottleneck, self.gaussian_conditional = Bottleneck(), nn.Module()

    def enliven(self) -> None:
        self.g_a[-1].weight.data *= LOUDER
        self.h_s[-1].bias.data[:MAIN] += SCALES


class OfThree(nn.Module):
    """What the prior is told of contexts of three scales."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = down(4, 4, 1), down(8, 4, 1), down(8, 2 * MAIN, 2)

    def forward(self, fine: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        x = self.second(torch.cat([self.first(fine), half], dim=1))
        return self.last(torch.cat([x, quarter], dim=1))


class Mined(nn.Module):
    """As ``DMC`` of DCVC-TCM."""

    def __init__(self) -> None:
        super().__init__()
        self.optic_flow = Flow()
        self.mv_encoder, self.mv_decoder = down(2, MAIN, 4), up(MAIN, 2, 4)
        self.mv_prior_encoder, self.mv_prior_decoder = down(MAIN, SIDE, 2), describing()
        self.feature_adaptor_I = nn.Conv2d(3, 4, 3, padding=1)
        self.feature_adaptor_P = nn.Conv2d(4, 4, 1)
        self.feature_extractor, self.context_fusion_net = Pyramid(), Fusion()
        self.contextual_encoder = ContextualEncoder()
        self.contextual_hyper_prior_encoder = down(MAIN, SIDE, 2)
        self.contextual_hyper_prior_decoder = up(SIDE, 2 * MAIN, 2)
        self.temporal_prior_encoder = OfThree()
        self.contextual_entropy_parameter = nn.Conv2d(4 * MAIN, 2 * MAIN, 3, padding=1)
        self.contextual_decoder = ContextualDecoder()
        self.recon_generation_net = Reconstruction()
        self.bit_estimator_z, self.bit_estimator_z_mv = BitEstimator(SIDE), BitEstimator(SIDE)

    def enliven(self) -> None:
        for encoder in (self.mv_encoder, self.contextual_encoder.last):
            encoder[-1].weight.data *= LOUDER
        for head in (self.mv_prior_decoder[-1], self.contextual_entropy_parameter):
            head.bias.data[:MAIN] += SCALES
