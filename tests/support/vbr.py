"""Variable-rate codecs with reproducible weights."""

from collections.abc import Callable

import torch
from compressai.models.vbr import (
    JointAutoregressiveHierarchicalPriorsVbr,
    MeanScaleHyperpriorVbr,
    ScaleHyperpriorVbr,
)
from torch import nn

from support.models import photo
from support.once import made_once

MODELS: dict[str, Callable[[], nn.Module]] = {
    "bmshj2018-hyperprior-vbr": lambda: ScaleHyperpriorVbr(8, 12, vr_entbttlnck=True),
    "bmshj2018-hyperprior-vbr, side latent as it was": lambda: ScaleHyperpriorVbr(8, 12),
    "mbt2018-mean-vbr": lambda: MeanScaleHyperpriorVbr(8, 12, vr_entbttlnck=True),
    "mbt2018-vbr": lambda: JointAutoregressiveHierarchicalPriorsVbr(8, 12),
}


@made_once
def lively(name: str) -> nn.Module:
    """A seeded model whose latent, at its highest gain, spreads over several levels."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = MODELS[name]().eval()
    with torch.no_grad():
        spread = model.g_a(photo(64, 64)).std()
        model.g_a[-1].weight.mul_(4 / spread)
        head = model.entropy_parameters if hasattr(model, "entropy_parameters") else model.h_s
        [*_, last] = [module for module in head.modules() if isinstance(module, nn.Conv2d)]
        scales = len(last.bias) // (1 if name.startswith("bmshj") else 2)
        last.bias[:scales] += torch.linspace(0.2, 3, scales)
    model.update()
    return model
