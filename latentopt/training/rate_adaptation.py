"""Training one stream for all rates: maps are masked at random, and lambda follows the rate.

Equations are those of Löhdefink et al., CVPR workshops 2022; see :mod:`latentopt.quantizers`.
"""

from dataclasses import dataclass
from typing import Protocol, TypedDict, cast

import torch
from torch import Tensor, nn

from latentopt.errors import InputError
from latentopt.quantizers.one_hot import kept_maps
from latentopt.training.loop import Terms

VALIDATED = (0.1, 0.3, 0.6, 1.0)
"""Rates q at which a model is validated."""


class Mapped(TypedDict):
    """What a codec of feature maps gives: images (B, 3, H, W), mean nats (B,) of kept elements."""

    x_hat: Tensor
    nats: Tensor


class MapCodec(Protocol):
    """A model of which the first maps alone make an image."""

    def __call__(self, x: Tensor, kept: Tensor, /) -> Mapped:
        """Images ``x`` (B, 3, H, W) through the first ``kept`` (B,) maps of each."""


class Adapted(Mapped):
    """The same at random rates, nats times :attr:`Rates.share`."""

    x: Tensor
    """What went in: in evaluation, the batch once for each rate."""
    lmbda: Tensor
    """(B,) of lambda * MSE + (1 - lambda) * nats."""


@dataclass(frozen=True)
class Rates:
    """Which rates a stream is trained for.

    Raises:
        InputError: there are no such maps, or lambda is not from 0 to 1.
    """

    maps: int
    least: int
    """Maps that are always kept, C_min."""
    lmbda: tuple[float, float]
    """At rates 0 and 1."""
    share: float = 1.0
    """Of a nat, what counts: 1/S where eq. 8 is a mean over all numbers of one-hot vectors of S.

    Where nats count in full, the paper's lambdas leave no symbol that pays, by errors in [0, 1].
    """

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.maps:
            raise InputError(f"{self.least} of {self.maps} maps always kept: it is 0 to all")
        if not 0 <= self.lmbda[0] <= self.lmbda[1] <= 1:
            raise InputError(f"lambda from {self.lmbda[0]} to {self.lmbda[1]}: 0 to 1, and rising")

    def kept(self, q: Tensor) -> Tensor:
        """How many maps are kept, (B,), at rates ``q`` (B,)."""
        return kept_maps(q, self.maps, self.least)

    def lambdas(self, q: Tensor) -> Tensor:
        """Eq. 10."""
        low, high = self.lmbda
        return low + q * (high - low)


class RateAdaptive(nn.Module):
    """A codec of maps at random rates, for a :class:`Loop`; evaluated at :data:`VALIDATED`."""

    def __init__(self, codec: nn.Module, rates: Rates):
        super().__init__()
        self.codec, self.rates = codec, rates
        self.pressure = 1.0
        """By which nats are multiplied in training, too; see :class:`Ramp`."""

    def forward(self, x: Tensor) -> Adapted:
        """Images (B, 3, H, W), each at a rate of its own."""
        if self.training:
            q = torch.rand(len(x), device=x.device).sqrt()  # density 2 q: eq. 6
            pressure = self.pressure
        else:
            q = torch.tensor(VALIDATED, device=x.device).repeat_interleave(len(x))
            x = x.repeat(len(VALIDATED), 1, 1, 1)
            pressure = 1.0
        out = cast(MapCodec, self.codec)(x, self.rates.kept(q))
        nats = pressure * self.rates.share * out["nats"]
        return {"x_hat": out["x_hat"], "nats": nats, "x": x, "lmbda": self.rates.lambdas(q)}


@dataclass(frozen=True)
class Ramp:
    """Let the rate count more and more over the first steps, for :attr:`Task.before_step`.

    Until transforms make use of symbols, all that the rate tells training is to use fewer of them.
    """

    model: RateAdaptive
    steps: int

    def __call__(self, step: int) -> None:
        """Before the step of that number, from 0."""
        self.model.pressure = min(1.0, (step + 1) / self.steps)


def adaptive_loss(out: Adapted, batch: Tensor) -> Terms:
    """lambda * MSE + (1 - lambda) * nats (eq. 9), samples in [0, 1]; shows nats and psnr_db."""
    mse = (out["x_hat"].float() - out["x"]).square().mean(dim=(1, 2, 3))
    loss = (out["lmbda"] * mse + (1 - out["lmbda"]) * out["nats"]).mean()
    shown = {"nats": out["nats"].mean(), "psnr_db": -10 * mse.log10().mean()}
    return Terms(loss, shown)
