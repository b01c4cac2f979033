"""Networks of the codecs that send samples: the VAE and the two-level probabilistic ladder network.

    x ─► g_a ─► mean, spread of level 1 ─────────────────────────► combined with its prior ─► z1
                  │                                                   ▲                       │
                  └─► h_a ─► mean, spread of level 2 ─► z2 ─► h_s ─► prior's mean, spread    g_s
                                                                                              │
                                                                                           x_hat

"Compression without Quantization" (Flamich 2019), Figure 3.2; a VAE has no second level. Spreads
are exponentials of what the networks give, and edges are mirrored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypedDict

import torch
from compressai.layers import GDN
from compressai.models import CompressionModel
from torch import Tensor, nn
from torch.nn.functional import pad

SLOPE = 0.2
_KERNEL, _REACH = 5, 2
_LEAST, _MOST = -8.0, 6.0
"""Of the logarithm of a spread: beyond, training would overflow."""


class Output(TypedDict):
    """What a network in training gives for images."""

    x_hat: Tensor  # (B, 3, H, W)
    divergences: list[Tensor]
    """KL[q | p] of each element of each level in nats, that of level 1 first."""
    gamma: Tensor
    """Scale of the likelihood, ()."""


@dataclass(frozen=True)
class Normal:
    """Independent Gaussians."""

    mean: Tensor
    spread: Tensor

    @staticmethod
    def of(output: Tensor) -> "Normal":
        """What a network says in two halves of its channels (B, 2C, h, w)."""
        mean, log_spread = output.chunk(2, 1)
        return Normal(mean, log_spread.clamp(_LEAST, _MOST).exp())

    def sample(self) -> Tensor:
        """One, differentiable."""
        return self.mean + self.spread * torch.randn_like(self.mean)

    def divergence(self, prior: "Normal") -> Tensor:
        """KL[self | prior] of each element, in nats."""
        ratio = self.spread / prior.spread
        distance = (self.mean - prior.mean) / prior.spread
        return 0.5 * (ratio.square() + distance.square() - 1) - ratio.log()

    def combined(self, prior: "Normal", power: float) -> "Normal":
        """With a prior, each weighted by its spread to the power -``power``.

        With 2 it is the exact product of both densities; the thesis has 1.
        """
        own, other = self.spread**-power, prior.spread**-power
        mean = (own * self.mean + other * prior.mean) / (own + other)
        return Normal(mean, (own + other) ** (-1 / power))


class MirrorConv(nn.Conv2d):
    """A convolution that mirrors the picture at its edges, or repeats them where it is small."""

    def __init__(self, inputs: int, outputs: int, kernel: int = _KERNEL, stride: int = 2):
        super().__init__(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(mirrored(x, self.kernel_size[0] // 2))


class MirrorDeconv(nn.ConvTranspose2d):
    """Its transpose, to twice the height and width."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, _KERNEL, 2, _REACH + 2, output_padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(mirrored(x, 1), output_size)


def mirrored(x: Tensor, margin: int) -> Tensor:
    """A picture (B, C, h, w) with a margin on each side."""
    mode = "reflect" if min(x.shape[-2:]) > margin else "replicate"
    return pad(x, [margin] * 4, mode)


class Unit(nn.Module):
    """What spread an encoder commonly gives each channel: both sides then know what to expect."""

    def __init__(self, channels: int):
        super().__init__()
        self.spread: Tensor
        self.register_buffer("spread", torch.ones(channels))


class Vae(CompressionModel):
    """One level: a latent whose prior is N(0, 1).

    Args:
        N: channels between the latent and the image.
        F: of the latent.
    """

    levels = 1

    def __init__(self, N: int = 196, F: int = 128):
        super().__init__()
        self.g_a = nn.Sequential(
            *(MirrorConv(3, N), GDN(N), MirrorConv(N, N), GDN(N)),
            *(MirrorConv(N, N), GDN(N), MirrorConv(N, 2 * F)),
        )
        self.g_s = nn.Sequential(
            *(MirrorDeconv(F, N), GDN(N, inverse=True), MirrorDeconv(N, N)),
            *(GDN(N, inverse=True), MirrorDeconv(N, N), GDN(N, inverse=True), MirrorDeconv(N, 3)),
        )
        self.log_gamma = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.unit = Unit(F)

    @property
    def downsampling_factor(self) -> int:
        """Pixels per element of the deepest latent."""
        return 16

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Tensor]) -> Self:
        """The network with these tensors, whose shapes tell its widths."""
        model = cls(**cls.widths(state_dict))
        model.load_state_dict(dict(state_dict))
        return model

    @staticmethod
    def widths(state: Mapping[str, Tensor]) -> dict[str, int]:
        """Arguments by name."""
        return {"N": len(state["g_a.0.weight"]), "F": len(state["g_s.0.weight"])}

    def forward(self, x: Tensor) -> Output:
        """Images (B, 3, H, W), H and W multiples of the stride, through samples of all levels."""
        z1, divergences = self._sampled(Normal.of(self.g_a(x)))
        gamma = self.log_gamma.exp()
        return {"x_hat": self.g_s(z1), "divergences": divergences, "gamma": gamma}

    def _sampled(self, found: Normal) -> tuple[Tensor, list[Tensor]]:
        """A sample of level 1, of which the encoder says this much, and what all levels cost."""
        prior = Normal(torch.zeros_like(found.mean), torch.ones_like(found.mean))
        return found.sample(), [found.divergence(prior)]


class Pln(Vae):
    """Two levels: the second, whose prior is N(0, 1), says what to expect of the first.

    Args:
        N: channels between level 1 and the image.
        M: between level 2 and level 1.
        F, G: of level 1, and of level 2.
    """

    levels = 2
    power = 2.0
    """Of the spreads that weight a posterior and its prior: :meth:`Normal.combined`."""

    def __init__(self, N: int = 196, M: int = 128, F: int = 128, G: int = 24):
        super().__init__(N, F)
        self.h_a = nn.Sequential(
            *(MirrorConv(F, M, 3, 1), nn.LeakyReLU(SLOPE), MirrorConv(M, M)),
            *(nn.LeakyReLU(SLOPE), MirrorConv(M, 2 * G)),
        )
        self.h_s = nn.Sequential(
            *(MirrorDeconv(G, M), nn.LeakyReLU(SLOPE), MirrorDeconv(M, M)),
            *(nn.LeakyReLU(SLOPE), MirrorConv(M, 2 * F, 3, 1)),
        )
        self.unit2 = Unit(G)

    @property
    def downsampling_factor(self) -> int:
        """See :class:`Vae`."""
        return 64

    @staticmethod
    def widths(state: Mapping[str, Tensor]) -> dict[str, int]:
        """See :meth:`Vae.widths`."""
        second = {"M": len(state["h_a.0.weight"]), "G": len(state["h_s.0.weight"])}
        return Vae.widths(state) | second

    def _sampled(self, found: Normal) -> tuple[Tensor, list[Tensor]]:
        second = Normal.of(self.h_a(found.mean))
        z2, [divergence2] = super()._sampled(second)
        prior = Normal.of(self.h_s(z2))
        first = found.combined(prior, self.power)
        return first.sample(), [first.divergence(prior), divergence2]


class GammaPln(Pln):
    """The same, whose likelihood has a scale that is learned."""

    def __init__(self, N: int = 196, M: int = 128, F: int = 128, G: int = 24):
        super().__init__(N, M, F, G)
        self.log_gamma.requires_grad_()
