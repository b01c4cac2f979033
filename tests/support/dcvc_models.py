"""Small codecs of our own with the structure of DCVC's: the same attributes, the same data flow."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SIDE, MAIN = 4, 8  # channels of side and main latents


class Layer(nn.Module):
    """One of a bit estimator: softplus(h) x + b, and tanh(a) tanh of that."""

    def __init__(self, channels: int, last: bool = False):
        super().__init__()
        self.h = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.b = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.a = None if last else nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x * nn.functional.softplus(self.h) + self.b
        return x if self.a is None else x + torch.tanh(x) * torch.tanh(self.a)


class BitEstimator(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.f1, self.f2, self.f3 = (Layer(channels) for _ in range(3))
        self.f4 = Layer(channels, last=True)

    def forward(self, x: Tensor) -> Tensor:
        """Cumulative distribution at x (B, C, h, w)."""
        return torch.sigmoid(self.f4(self.f3(self.f2(self.f1(x)))))


def down(channels_in: int, channels_out: int, times: int) -> nn.Sequential:
    """Halve the size so many times."""
    layers: list[nn.Module] = []
    for k in range(times):
        conv = nn.Conv2d(channels_in if k == 0 else channels_out, channels_out, 3, 2, 1)
        layers += [conv, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def up(channels_in: int, channels_out: int, times: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k in range(times):
        wide = nn.Conv2d(
            channels_in, (channels_out if k == times - 1 else channels_in) * 4, 3, 1, 1
        )
        layers += [wide, nn.PixelShuffle(2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class Intra(nn.Module):
    """What the intra codecs have."""

    def __init__(self) -> None:
        super().__init__()
        self.refine = nn.Conv2d(4, 3, 3, padding=1)
        self.hyper_enc, self.hyper_dec = down(MAIN, SIDE, 2), up(SIDE, 2 * MAIN, 2)
        self.y_prior_fusion = nn.Conv2d(2 * MAIN, 3 * MAIN, 3, padding=1)
        self.bit_estimator_z = BitEstimator(SIDE)


class DualPrior(Intra):
    """As ``IntraNoAR`` of DCVC-HEM."""

    def __init__(self) -> None:
        super().__init__()
        self.enc, self.dec = down(3, MAIN, 4), up(MAIN, 4, 4)
        self.y_spatial_prior = nn.Conv2d(4 * MAIN, 2 * MAIN, 3, padding=1)
        self.q_basic = nn.Parameter(torch.linspace(0.4, 1.5, MAIN).reshape(1, MAIN, 1, 1))
        self.q_scale = nn.Parameter(torch.tensor([1.5, 1.0, 0.7]).reshape(3, 1, 1, 1))


class Unrefined(DualPrior):
    """As EVC's codecs."""

    def __init__(self) -> None:
        super().__init__()
        del self.refine
        self.dec = up(MAIN, 3, 4)


class SeveralEncoders(Unrefined):
    """As EVC's scalable ones."""

    def __init__(self) -> None:
        super().__init__()
        self.enc: nn.Module | None = None
        self.encs = nn.ModuleList([down(3, MAIN, 4) for _ in range(3)])
        self.forward_enc_id: int | None = None


class Scaled(nn.Module):
    """A transform that multiplies by a step in its middle."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        return self.second(self.first(x) * step)


class FourPart(Intra):
    """As ``IntraNoAR`` of DCVC-DC."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = Scaled(down(3, 4, 1), down(4, MAIN, 3))
        self.dec = Scaled(up(MAIN, 4, 3), up(4, 4, 1))
        for k in (1, 2, 3):
            setattr(self, f"y_spatial_prior_adaptor_{k}", nn.Conv2d(4 * MAIN, 3 * MAIN, 1))
        self.y_spatial_prior = nn.Conv2d(3 * MAIN, 2 * MAIN, 3, padding=1)
        for name in ("enc", "dec"):
            basic = torch.linspace(0.5, 1.5, 4).reshape(1, 4, 1, 1)
            setattr(self, f"q_basic_{name}", nn.Parameter(basic))
            scales = torch.tensor([1.5, 0.7]).reshape(2, 1, 1, 1)
            setattr(self, f"q_scale_{name}", nn.Parameter(scales))


class Masked(nn.Conv2d):
    def __init__(self, channels: int):
        super().__init__(channels, 2 * channels, 5, padding=2)
        self.mask: Tensor
        self.register_buffer("mask", torch.ones_like(self.weight))
        self.mask[:, :, 2, 2:] = 0
        self.mask[:, :, 3:] = 0

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class Flow(nn.Module):
    """Stands for an optical flow."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(6, 2, 3, padding=1)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        return self.net(torch.cat([x, reference], dim=1))


class Predicted(nn.Module):
    """As ``DCVC_net``."""

    def __init__(self) -> None:
        super().__init__()
        self.opticFlow = Flow()
        self.mvEncoder, self.mvDecoder_part1 = down(2, MAIN, 4), up(MAIN, 2, 4)
        self.mvDecoder_part2 = nn.Conv2d(5, 2, 3, padding=1)
        self.feature_extract = nn.Conv2d(3, 4, 3, padding=1)
        self.context_refine = nn.Conv2d(4, 4, 3, padding=1)
        self.contextualEncoder = down(7, MAIN, 4)
        self.contextualDecoder_part1 = up(MAIN, 4, 4)
        self.contextualDecoder_part2 = nn.Conv2d(8, 3, 3, padding=1)
        self.temporalPriorEncoder = down(4, MAIN, 4)
        self.priorEncoder, self.mvpriorEncoder = down(MAIN, SIDE, 2), down(MAIN, SIDE, 2)
        self.priorDecoder, self.mvpriorDecoder = up(SIDE, MAIN, 2), up(SIDE, 2 * MAIN, 2)
        for suffix in ("", "_mv"):
            setattr(self, f"bitEstimator_z{suffix}", BitEstimator(SIDE))
            setattr(self, f"auto_regressive{suffix}", Masked(MAIN))
            layers = (nn.Conv2d(4 * MAIN, 3 * MAIN, 1), nn.LeakyReLU(0.2, inplace=True))
            head = nn.Sequential(*layers, nn.Conv2d(3 * MAIN, 2 * MAIN, 1))
            setattr(self, f"entropy_parameters{suffix}", head)


class Joined(nn.Module):
    """A convolution of what is given, side by side."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.net = nn.Conv2d(channels_in, channels_out, 3, padding=1)

    def forward(self, *given: Tensor) -> Tensor:
        return self.net(torch.cat(given, dim=1))


class Pyramid(nn.Module):
    """Features of three scales."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList([nn.Conv2d(4, 4, 3, k, 1) for k in (1, 2, 2)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = []
        for level in self.levels:
            found.append(x := level(x))
        return tuple(found)


class Fusion(nn.Module):
    """Coarser scales add to the finer ones."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, fine: Tensor, half: Tensor, quarter: Tensor) -> tuple[Tensor, ...]:
        half = half + nn.functional.interpolate(self.net(quarter), scale_factor=2)
        return fine + nn.functional.interpolate(self.net(half), scale_factor=2), half, quarter


class ContextualEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = down(7, 4, 1), down(8, 4, 1), down(8, MAIN, 2)

    def forward(
        self, x: Tensor, fine: Tensor, half: Tensor, quarter: Tensor, step: Tensor | float = 1
    ) -> Tensor:
        x = self.first(torch.cat([x, fine], dim=1)) * step
        x = self.second(torch.cat([x, half], dim=1))
        return self.last(torch.cat([x, quarter], dim=1))


class ContextualDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = up(MAIN, 4, 2), up(8, 4, 1), up(8, 4, 1)

    def forward(
        self, y_hat: Tensor, half: Tensor, quarter: Tensor, step: Tensor | float = 1
    ) -> Tensor:
        x = self.second(torch.cat([self.first(y_hat), quarter], dim=1)) * step
        return self.last(torch.cat([x, half], dim=1))


class Reconstruction(nn.Module):
    """Features, and the image that is made of them."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.image = Joined(8, 4), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, context: Tensor, decoded: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(context, decoded)
        return features, self.image(features)


class WithMemory(nn.Module):
    """As ``DMC`` of DCVC-HEM."""

    def __init__(self) -> None:
        super().__init__()
        self.optic_flow = Flow()
        self.mv_encoder, self.mv_decoder = down(2, MAIN, 4), up(MAIN, 2, 4)
        self.mv_hyper_prior_encoder = down(MAIN, SIDE, 2)
        self.mv_hyper_prior_decoder = up(SIDE, 2 * MAIN, 2)
        self.mv_y_prior_fusion = nn.Conv2d(3 * MAIN, 3 * MAIN, 3, padding=1)
        self.mv_y_spatial_prior = nn.Conv2d(4 * MAIN, 2 * MAIN, 3, padding=1)
        self.feature_adaptor_I = nn.Conv2d(3, 4, 3, padding=1)
        self.feature_adaptor_P = nn.Conv2d(4, 4, 1)
        self.feature_extractor, self.context_fusion_net = Pyramid(), Fusion()
        self.contextual_encoder = ContextualEncoder()
        self.contextual_hyper_prior_encoder = down(MAIN, SIDE, 2)
        self.contextual_hyper_prior_decoder = up(SIDE, 2 * MAIN, 2)
        self.temporal_prior_encoder = down(4, 2 * MAIN, 2)
        self.y_prior_fusion = nn.Conv2d(5 * MAIN, 3 * MAIN, 3, padding=1)
        self.y_spatial_prior = nn.Conv2d(4 * MAIN, 2 * MAIN, 3, padding=1)
        self.contextual_decoder = ContextualDecoder()
        self.recon_generation_net = Reconstruction()
        self.bit_estimator_z, self.bit_estimator_z_mv = BitEstimator(SIDE), BitEstimator(SIDE)
        for name in ("mv_y_q", "y_q"):
            basic = torch.linspace(0.4, 1.5, MAIN).reshape(1, MAIN, 1, 1)
            setattr(self, f"{name}_basic", nn.Parameter(basic))
            scales = torch.tensor([1.3, 0.8]).reshape(2, 1, 1, 1)
            setattr(self, f"{name}_scale", nn.Parameter(scales))


class MotionEncoder(nn.Module):
    """Sees features of the motion before, if there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = down(2, 4, 1), down(4, 4, 1), down(4, MAIN, 2)
        self.adaptor_0, self.adaptor_1 = Joined(4, 4), Joined(8, 4)

    def forward(self, flow: Tensor, before: Tensor | None, step: Tensor) -> Tensor:
        x = self.second(self.first(flow) * step)
        return self.last(self.adaptor_0(x) if before is None else self.adaptor_1(x, before))


class MotionDecoder(nn.Module):
    """A flow, and features."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = up(MAIN, 4, 2), up(4, 4, 1), up(4, 2, 1)

    def forward(self, y_hat: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        features = self.first(y_hat)
        return self.last(self.second(features) * step), features


class Offsets(nn.Module):
    """What says how flows differ: two for each of two groups of the features."""

    offset_num, max_residue_magnitude = 2, 3

    def __init__(self) -> None:
        super().__init__()
        self.conv_offset = nn.Conv2d(4 + 3 + 2, 3 * 4, 3, 2, 1)
        self.fusion = nn.Conv2d(2 * 4, 4, 1, groups=2)


class Diverse(WithMemory):
    """As ``DMC`` of DCVC-DC."""

    def __init__(self) -> None:
        super().__init__()
        for gone in ("feature_adaptor_P", "mv_y_q_basic", "mv_y_q_scale", "y_q_basic", "y_q_scale"):
            delattr(self, gone)
        self.align = Offsets()
        self.feature_adaptor = nn.ModuleList([nn.Conv2d(4, 4, 1) for _ in range(3)])
        self.mv_encoder, self.mv_decoder = MotionEncoder(), MotionDecoder()
        for part, given in (("mv_y", 2), ("y", 4)):
            for k in (0, 1):
                adaptor = nn.Conv2d((given + k) * MAIN, 3 * MAIN, 1)
                setattr(self, f"{part}_prior_fusion_adaptor_{k}", adaptor)
            setattr(self, f"{part}_prior_fusion", nn.Conv2d(3 * MAIN, 3 * MAIN, 3, padding=1))
            for k in (1, 2, 3):
                adaptor = nn.Conv2d(4 * MAIN, 3 * MAIN, 1)
                setattr(self, f"{part}_spatial_prior_adaptor_{k}", adaptor)
            setattr(self, f"{part}_spatial_prior", nn.Conv2d(3 * MAIN, 2 * MAIN, 3, padding=1))
            for side in ("enc", "dec"):
                basic = torch.linspace(0.5, 1.5, 4).reshape(1, 4, 1, 1)
                setattr(self, f"{part}_q_basic_{side}", nn.Parameter(basic))
                scales = torch.tensor([1.3, 0.8]).reshape(2, 1, 1, 1)
                setattr(self, f"{part}_q_scale_{side}", nn.Parameter(scales))


class Modulated(Diverse):
    """As ``DMC`` of DCVC-FM."""

    def __init__(self) -> None:
        super().__init__()
        for part in ("mv_y", "y"):
            for side in ("enc", "dec"):
                for kind in ("basic", "scale"):
                    delattr(self, f"{part}_q_{kind}_{side}")
                steps = torch.tensor([0.6, 1.4]).reshape(2, 1, 1, 1)
                setattr(self, f"{part}_q_{side}", nn.Parameter(steps))


def _enliven_passes(fusion: Any, spatial: Any, part: int) -> None:
    """Steps of about 1.2, scales of many levels; the first half's come in the first ``part``."""
    scales = torch.linspace(0.1, 4, MAIN)
    fusion.bias.data[:MAIN] += 1.2
    fusion.bias.data[MAIN : 2 * MAIN] += scales
    spatial.bias.data[:part] += scales[:part]
    if part < MAIN:
        spatial.bias.data[MAIN : MAIN + part] += scales[part:]


def spoil_float32(codec: Any) -> None:
    """From here on all that a video codec's networks compute in float32 is off by up to 0.1 %."""

    def spoil(module: nn.Module, _: Any, output: Tensor) -> Tensor:
        return (
            output * (1 + 1e-3 * torch.rand_like(output))
            if output.dtype == torch.float32
            else output
        )

    for part in codec.parts.values():
        for module in part.model.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(spoil)


def lively(family: type[nn.Module], seed: int = 0) -> Any:
    """Weights that are the same everywhere, latents and entropy parameters of many levels."""
    model: Any = family()
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        if name.endswith(("weight", "bias")):
            fan_in = np.prod(shape[1:]) if len(shape) > 1 else 100
            parameter.data = torch.from_numpy(rng.normal(0, 1 / np.sqrt(fan_in), shape)).float()
        elif name.endswith((".a", ".b")):
            parameter.data = torch.from_numpy(rng.uniform(-0.3, 0.3, shape)).float()
    if hasattr(model, "enliven"):
        model.enliven()
    elif isinstance(model, Intra):
        one = model.enc.second if isinstance(model, FourPart) else model.enc
        for transform in model.encs if isinstance(model, SeveralEncoders) else [one]:
            transform[-1].weight.data *= 12
        part = MAIN if isinstance(model, FourPart) else MAIN // 2
        _enliven_passes(model.y_prior_fusion, model.y_spatial_prior, part)
    elif isinstance(model, WithMemory):
        motion, part = model.mv_encoder, MAIN // 2
        if isinstance(model, Diverse):
            motion, part = motion.last, MAIN
        for encoder, name in ((model.contextual_encoder.last, "y"), (motion, "mv_y")):
            encoder[-1].weight.data *= 12
            priors = [
                getattr(model, f"{name}_{kind}") for kind in ("prior_fusion", "spatial_prior")
            ]
            _enliven_passes(*priors, part)
    else:
        scales = torch.linspace(0.1, 4, MAIN)
        for encoder, suffix in (("contextualEncoder", ""), ("mvEncoder", "_mv")):
            getattr(model, encoder)[-1].weight.data *= 12
            getattr(model, f"entropy_parameters{suffix}")[-1].bias.data[MAIN:] += scales
    return model.eval()
