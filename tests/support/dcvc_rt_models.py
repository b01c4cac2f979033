"""Small codecs of our own with the structure of DCVC-RT's, and of DCVC-FM's for images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from support.dcvc_models import MAIN, SIDE, BitEstimator, Scaled, down, up

LOUDER = 12  # so that latents are of some size
SCALES = torch.linspace(0.3, 4, MAIN)
RATES = 4  # of images
FOLD, WIDTH = 8, 4


def estimator(rates: int) -> BitEstimator:
    """One that has several rates."""
    made = BitEstimator(SIDE)
    for layer in (made.f1, made.f2, made.f3, made.f4):
        for name, parameter in list(layer.named_parameters()):
            setattr(layer, name, nn.Parameter(parameter.data.repeat(rates, 1, 1, 1)))
    return made


def multipliers(rates: int) -> nn.Parameter:
    steps = torch.linspace(0.7, 1.4, rates)[:, None] * torch.linspace(0.8, 1.2, WIDTH)
    return nn.Parameter(steps[..., None, None])


class TwoScale(nn.Module):
    """As ``DMCI`` of DCVC-RT."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = Scaled(down(3, WIDTH, 1), down(WIDTH, MAIN, 3))
        self.dec = Scaled(up(MAIN, WIDTH, 3), up(WIDTH, 3, 1))
        self.hyper_enc, self.hyper_dec = down(MAIN, SIDE, 2), up(SIDE, MAIN, 2)
        self.y_prior_fusion = nn.Conv2d(MAIN, 2 * MAIN + 2, 3, padding=1)
        self.y_spatial_prior_reduction = nn.Conv2d(2 * MAIN + 2, MAIN, 1)
        for k in (1, 2, 3):
            setattr(self, f"y_spatial_prior_adaptor_{k}", nn.Conv2d(2 * MAIN, 2 * MAIN, 1))
        self.y_spatial_prior = nn.Conv2d(2 * MAIN, 2 * MAIN, 3, padding=1)
        self.bit_estimator_z = estimator(RATES)
        self.q_scale_enc, self.q_scale_dec = multipliers(RATES), multipliers(RATES)

    def enliven(self) -> None:
        last = self.enc.second[-1]  # type: ignore[index]
        last.weight.data *= LOUDER
        fusion, spatial = self.y_prior_fusion.bias, self.y_spatial_prior.bias
        assert fusion is not None and spatial is not None
        fusion.data[2 : 2 + MAIN] += SCALES
        spatial.data[:MAIN] += SCALES


class Refined(TwoScale):
    """As ``DMCI`` of DCVC-FM."""

    def __init__(self) -> None:
        super().__init__()
        self.dec = Scaled(up(MAIN, WIDTH, 3), up(WIDTH, WIDTH, 1))
        self.refine = nn.Conv2d(WIDTH, 3, 3, padding=1)


class Extractor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv1(x)
        return self.conv2(x), x * step


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3 * FOLD**2, WIDTH, 1)
        self.conv2 = nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1)
        self.down = nn.Conv2d(WIDTH, MAIN, 3, 2, 1)

    def forward(self, x: Tensor, context: Tensor, step: Tensor) -> Tensor:
        x = self.conv1(F.pixel_unshuffle(x, FOLD))
        return self.down(self.conv2(torch.cat([x, context], dim=1)) * step)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.conv = up(MAIN, WIDTH, 1), nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1)

    def forward(self, y_hat: Tensor, context: Tensor, step: Tensor) -> Tensor:
        return self.conv(torch.cat([self.up(y_hat), context], dim=1)) * step


class Reconstruction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(WIDTH, 3 * FOLD**2, 1)

    def forward(self, features: Tensor, step: Tensor) -> Tensor:
        return F.pixel_shuffle(self.head(features * step), FOLD).clamp(0, 1)


class Unmoved(nn.Module):
    """As ``DMC`` of DCVC-RT."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_adaptor_i = nn.Conv2d(3 * FOLD**2, WIDTH, 1)
        self.feature_adaptor_p = nn.Conv2d(WIDTH, WIDTH, 1)
        self.feature_extractor = Extractor()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.hyper_encoder, self.hyper_decoder = down(MAIN, SIDE, 2), up(SIDE, MAIN, 2)
        self.temporal_prior_encoder = nn.Conv2d(WIDTH, 2 * MAIN, 2, 2)
        self.y_prior_fusion = nn.Conv2d(3 * MAIN, 3 * MAIN, 3, padding=1)
        self.y_spatial_prior = nn.Conv2d(4 * MAIN, 2 * MAIN, 3, padding=1)
        self.recon_generation_net = Reconstruction()
        self.bit_estimator_z = estimator(72)
        for name in ("encoder", "decoder", "feature", "recon"):
            setattr(self, f"q_{name}", multipliers(72))

    def enliven(self) -> None:
        self.encoder.down.weight.data *= LOUDER
        fusion, spatial = self.y_prior_fusion.bias, self.y_spatial_prior.bias
        head = self.recon_generation_net.head
        assert fusion is not None and spatial is not None and head.bias is not None
        fusion.data[:MAIN] += 1.2
        fusion.data[MAIN : 2 * MAIN] += SCALES
        spatial.data[:MAIN] += SCALES
        head.weight.data *= 0.1  # within [0, 1], nearly all
        head.bias.data.fill_(0.5)
