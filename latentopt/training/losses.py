"""Rate-distortion losses of what CompressAI's models give."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from latentopt.training.loop import Terms

Nested = Tensor | Sequence["Nested"] | Mapping[str, "Nested"]
"""Tensors in lists and dicts of any depth."""


class Coded(TypedDict):
    """What a codec in training gives for images, or for the frames of clips."""

    x_hat: Tensor | Sequence[Tensor]
    """(B, 3, H, W), of clips one for each frame."""
    likelihoods: Nested
    """Of each element of each latent."""


@dataclass(frozen=True)
class RateDistortion:
    """lambda * 255^2 * MSE + bits per pixel, of images, or of all frames of clips.

    Shows bpp and psnr_db; samples are in [0, 1].
    """

    lmbda: float

    def __call__(self, out: Coded, batch: Tensor | Sequence[Tensor]) -> Terms:
        frames, decoded = list(_tensors(batch)), list(_tensors(out["x_hat"]))
        pixels = sum(x.shape[0] * x.shape[2] * x.shape[3] for x in frames)
        bits = [-p.log2().sum() for p in _tensors(out["likelihoods"])]
        bpp = torch.stack(bits).sum() / pixels
        errors = [mse_loss(x_hat.float(), x) for x_hat, x in zip(decoded, frames, strict=True)]
        mse = torch.stack(errors).mean()
        return rate_distortion(self.lmbda, mse, bpp)


def rate_distortion(lmbda: float, mse: Tensor, bpp: Tensor) -> Terms:
    """lambda * 255^2 * MSE + bits per pixel, scalars of samples in [0, 1]; shows both."""
    return Terms(lmbda * 255**2 * mse + bpp, {"bpp": bpp, "psnr_db": -10 * mse.log10()})


def _tensors(nested: Nested) -> Iterator[Tensor]:
    if isinstance(nested, Tensor):
        yield nested
    else:
        for part in nested.values() if isinstance(nested, Mapping) else nested:
            yield from _tensors(part)
