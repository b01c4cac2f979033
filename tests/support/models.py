"""Small models with reproducible weights, and pictures to code with them."""

import numpy as np
import torch
from compressai.models import (
    FactorizedPrior,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from torch import Tensor, nn

from latentopt.zoo.flow import SmallScaleSpaceFlow
from support.once import made_once


@made_once
def tiny(family: type[nn.Module], seed: int = 0, gain: float = 8.0) -> nn.Module:
    """A small codec whose weights are the same everywhere (NumPy's generator, not torch's).

    ``gain`` scales the main latent, which random weights leave near zero.
    """
    model = family(8, 12)
    generator = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        if "biases" in name:  # of the bottleneck's densities
            parameter.data = torch.from_numpy(generator.uniform(-0.5, 0.5, shape)).float()
        elif name.endswith("bias"):
            parameter.data = torch.zeros(shape)
        elif name.endswith("weight"):
            fan_in = shape[1] * shape[2] * shape[3]
            weight = generator.standard_normal(shape) / np.sqrt(fan_in)
            parameter.data = torch.from_numpy(weight).float()
    model.g_a[-1].weight.data *= gain
    if hasattr(model, "entropy_parameters"):
        model.entropy_parameters[-1].bias.data += 0.8
    elif hasattr(model, "h_s"):
        model.h_s[-1 if isinstance(model, MeanScaleHyperprior) else -2].bias.data += 0.8
    model.update(force=True, update_quantiles=True)
    return model.eval()


@made_once
def tiny_flow(seed: int = 0) -> nn.Module:
    """A small scale-space-flow codec, as above."""
    model = SmallScaleSpaceFlow(hidden=6, latent=9, motion=8, hyper=7)
    generator = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        if parameter.dim() == 4:
            weight = generator.standard_normal(shape) / np.sqrt(shape[1] * 25)
            parameter.data = torch.from_numpy(weight).float()
        elif "entropy_bottleneck" in name and "bias" in name:
            parameter.data = torch.from_numpy(generator.uniform(-0.5, 0.5, shape)).float()
        elif name.endswith("bias"):
            parameter.data = torch.zeros(shape)
    for part in ("img", "motion", "res"):
        getattr(model, f"{part}_encoder")[-1].weight.data *= 4
        getattr(model, f"{part}_hyperprior").hyper_decoder_scale.deconv3.bias.data += 0.6
    model.update(force=True, update_quantiles=True)
    return model.eval()


def moving(frames: int, height: int = 75, width: int = 120, batch: int = 1) -> list[Tensor]:
    """A photo that moves by a pixel and a half a frame, each (batch, 3, height, width)."""
    scene = photo(height + frames, width + 2 * frames, batch)
    return [scene[..., i : i + height, 2 * i : 2 * i + width] for i in range(frames)]


FAMILIES = {
    "bmshj2018-factorized": FactorizedPrior,
    "bmshj2018-hyperprior": ScaleHyperprior,
    "mbt2018-mean": MeanScaleHyperprior,
    "mbt2018": JointAutoregressiveHierarchicalPriors,
}


def photo(height: int, width: int, batch: int = 1, seed: int = 0) -> Tensor:
    """Smooth shapes with an edge and some noise, (batch, 3, height, width) in [0, 1]."""
    generator = np.random.default_rng(seed)
    v, u = np.mgrid[0:height, 0:width] / 32
    images = []
    for _ in range(batch):
        a, b, c = generator.uniform(0.5, 3, 3)
        planes = [np.sin(a * u + k) * np.cos(b * v) + (u + c * v > 2) for k in range(3)]
        noise = generator.normal(0, 0.1, (3, height, width))
        images.append(np.clip(0.4 + 0.25 * np.stack(planes) + noise, 0, 1))
    return torch.from_numpy(np.stack(images)).float()
