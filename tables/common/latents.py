"""What probes look at: one image's rounded latent, and ways to move it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast

import torch
from torch import Tensor, nn

import latentopt
from latentopt import Codec
from latentopt.bitstream import NO_SHIFT, decode_step, encode_step
from latentopt.codec.synthesis import Synthesis
from latentopt.encoder import Secant, ShiftProblem
from latentopt.encoder.sensitivity import gradients
from latentopt.latents import Coded, Crossed

STEP_BITS = 8
"""What a step size costs."""

_WHOLE = Secant(share=1.0)
_MULTIPLES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Of the step that is best to second order: along true gradients the error is not quadratic."""


class _Transform(Protocol):
    """What a CompressAI image codec has to analyse images with."""

    g_a: nn.Module


def plain(model: nn.Module, lattice: str = "int") -> Codec:
    """A codec with the nearest points of a lattice, and no shift."""
    return latentopt.wrap(model, lattice, False)


@dataclass(frozen=True)
class View:
    """One image as a codec without shift codes it."""

    codec: Codec
    x: Tensor  # (1, 3, H, W)

    @cached_property
    def coded(self) -> dict[str, list[Coded]]:
        return self.codec.encode(self.x)

    @property
    def latent(self) -> Crossed:
        return self.coded["y"][0].latent

    @cached_property
    def y(self) -> Tensor:
        """The latent before quantization, (1, M, h, w)."""
        model = cast(_Transform, self.codec.model)
        return model.g_a(self.codec.padded(self.x)).float()

    @cached_property
    def y_hat(self) -> Tensor:
        """(1, M, h, w)."""
        return self.codec.moved(self.coded["y"])

    @property
    def side_bits(self) -> float:
        """Ideal rate of the side latent; 0 where there is none."""
        return float(sum(c.latent.bits().sum() for c in self.coded.get("z", [])))

    @property
    def bits(self) -> float:
        """Ideal rate: -log2 of the probabilities of all points."""
        return float(self.latent.bits().sum()) + self.side_bits

    @property
    def pixels(self) -> int:
        return self.x.shape[-2] * self.x.shape[-1]

    def image(self, y_hat: Tensor) -> Tensor:
        """The decoded image in [0, 1], through which gradients go where they are wanted."""
        x_hat = Synthesis(self.codec.assembly).image(y_hat).clamp(0, 1)
        return x_hat[..., : self.x.shape[-2], : self.x.shape[-1]]

    def error(self, y_hat: Tensor) -> float:
        """Mean squared error; not rounded to 8 bits, whose noise would hide 0.001 dB."""
        return float((self.image(y_hat) - self.x).square().mean(dtype=torch.float64))

    def problem(self, directions: Tensor) -> ShiftProblem:
        """To move the latent along some of the ``directions`` (K, M, h, w)."""
        return ShiftProblem(self.image, self.y_hat, directions[None], self.x, 0)

    def decodable(self, name: str) -> Tensor:
        """A direction that decoders know, (1, M, h, w)."""
        row = torch.from_numpy(self.latent.directions(name)[0]).to(self.y_hat)
        return row.reshape(self.y_hat.shape)

    def error_gradient(self) -> Tensor:
        """Gradient of the squared error by the decoded latent, which decoders do not know."""
        with gradients():
            leaf = self.y_hat.clone().requires_grad_(True)
            error = (self.image(leaf) - self.x).square().sum()
            [gradient] = torch.autograd.grad(error, leaf)
        return gradient


def random_direction(like: Tensor, seed: int) -> Tensor:
    """Independent normal numbers, shaped like a latent; the same on all devices."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator).to(like)


def best_alone(view: View, directions: Tensor) -> tuple[int, float]:
    """Which of the ``directions`` (K, M, h, w) promises most, and the least error along it.

    The promise is the closed form of the secant; decodes of quantized multiples of its step, and
    of no step, measure the error.
    """
    problem = view.problem(directions)
    [fit] = _WHOLE.fits(problem)
    curvature = fit.gram.diagonal().clip(min=1e-300)
    k = int((fit.along**2 / curvature).argmax())
    step = float(fit.along[k] / curvature[k])
    return k, min(_errors_along(view, directions[k], [NO_SHIFT, *_codes(step)]))


def _codes(step: float) -> list[int]:
    return [encode_step(multiple * step) for multiple in _MULTIPLES]


def _errors_along(view: View, direction: Tensor, codes: Sequence[int]) -> list[float]:
    return [view.error(view.y_hat + decode_step(code) * direction) for code in codes]


def unit(direction: Tensor) -> Tensor:
    """Scaled to a root mean square of 1, where codes of step sizes are fine."""
    return direction / direction.square().mean().sqrt().clamp(min=1e-30)
