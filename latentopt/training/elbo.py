"""The loss of codecs that send samples: what the image costs given the samples, and these."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentopt.adapters.variational_net import Output
from latentopt.training.loop import Terms

GAMMA_LEAST = 0.5 / 255
"""Of the likelihood's scale: finer errors than half a grey level are worth nothing."""


@dataclass
class BetaElbo:
    """beta * KL[q | p] - log p(x | z), nats per pixel; the likelihood a Laplace density.

    Shows the KL in bpp, its part in the second level, and psnr_db; samples are in [0, 1]. A scale
    that is learned stays above :data:`GAMMA_LEAST`.

    Args:
        beta: what a nat of KL is worth.
        warm: steps over which it grows from 0, by :meth:`before_step`.
    """

    beta: float
    warm: int = 0
    _warmth: float = 1.0

    def before_step(self, step: int) -> None:
        """Said before each step of training; what is evaluated has the whole beta."""
        self._warmth = min(1.0, (step + 1) / self.warm) if self.warm else 1.0

    def __call__(self, out: Output, batch: Tensor) -> Terms:
        """Of images (B, 3, H, W)."""
        pixels = batch.numel() / batch.shape[1]
        nats = torch.stack([own.sum() for own in out["divergences"]]) / pixels
        gamma = out["gamma"].clamp(min=GAMMA_LEAST)
        error = (out["x_hat"] - batch).abs().sum() / pixels
        likelihood = error / gamma + batch.shape[1] * torch.log(2 * gamma)
        warmth = self._warmth if torch.is_grad_enabled() else 1.0
        mse = (out["x_hat"].clamp(0, 1) - batch).square().mean()
        shown = {
            "kl_bpp": nats.sum() / math.log(2),
            "second_bpp": nats[1:].sum() / math.log(2),
            "psnr_db": -10 * mse.log10(),
            "gamma": gamma,
        }
        return Terms(likelihood + warmth * self.beta * nats.sum(), shown)
