"""Training between transforms that stay as they are: on their latents, which are computed once."""

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from latentopt.adapters import Adapter, adapter_class
from latentopt.encoder import sensitivity_of
from latentopt.training import Photographs
from latentopt.training.rate_adaptation import Mapped


class Middle(Protocol):
    """A codec, as far as what is between its transforms goes."""

    def through(self, y: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """``y_hat`` like ``y`` (B, M, h, w), and nats (B,)."""


class Between(nn.Module):
    """A codec on weighted latents in place of images: errors in them are errors of pixels.

    Args:
        codec: its transforms are not trained.
        weight: (M,) of each channel.
    """

    def __init__(self, codec: nn.Module, weight: Tensor):
        super().__init__()
        self.codec = codec
        self.weight: Tensor
        self.register_buffer("weight", weight[:, None, None])

    def forward(self, x: Tensor, kept: Tensor) -> Mapped:
        """Weighted latents (B, M, h, w) through the first ``kept`` (B,) maps."""
        y_hat, nats = cast(Middle, self.codec).through(x / self.weight, kept)
        return {"x_hat": y_hat * self.weight, "nats": nats}


@dataclass(frozen=True)
class Latents:
    """Random ones of many weighted latents, see :class:`latentopt.training.Source`."""

    all: Tensor  # (n, M, h, w)
    count: int
    seed: int

    def batch(self, step: int) -> Tensor:
        """(count, M, h, w)."""
        random = np.random.default_rng([self.seed, step])
        return self.all[torch.from_numpy(random.integers(len(self.all), size=self.count))]


@torch.no_grad()
def weights(donor: nn.Module, stride: int) -> Tensor:
    """(M,) by which errors of latents are those of pixels, both squared, in the mean over samples.

    From the sensitivity of the synthesis: the squared error of the image, summed over its samples,
    that an error of one in an element makes.
    """
    adapter = adapter_class(donor)(donor, True)
    assert isinstance(adapter, Adapter), "a codec of images"
    squared = sensitivity_of(adapter).squared
    samples = 3 * stride**2 / len(squared)  # of the image for each element
    return torch.from_numpy(np.sqrt(squared / samples)).float()


@torch.no_grad()
def latents_of(analysis: nn.Module, weight: Tensor, photographs: Photographs, n: int) -> Tensor:
    """Weighted latents (n, M, h, w) of random crops."""
    found = [analysis(photographs.batch(step)) for step in range(-(-n // photographs.size))]
    return torch.cat(found)[:n] * weight[:, None, None]
