"""A small codec of one-hot maps, whose weights are the same everywhere."""

import numpy as np
import torch

from latentopt.zoo.one_hot_codec import OneHotCodec
from support.once import made_once


@made_once
def one_hot(maps: int = 5, symbols: int = 8, layers: int = 2, seed: int = 0) -> OneHotCodec:
    """Random weights, by NumPy's generator."""
    model = OneHotCodec(6, 8, maps, symbols, layers)
    generator = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            fan_in = int(np.prod(parameter.shape[1:]))
            scale = np.sqrt(2 / fan_in)
            parameter.data = torch.from_numpy(
                generator.standard_normal(tuple(parameter.shape)) * scale
            ).float()
        elif name.endswith("bias"):
            parameter.data = torch.from_numpy(
                generator.uniform(-0.3, 0.3, tuple(parameter.shape))
            ).float()
    return model.eval()
