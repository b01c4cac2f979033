"""The contract of quantizers, and how one takes its place in a model of CompressAI's."""

from abc import ABC, abstractmethod
from functools import partial
from typing import Protocol

import torch
from compressai.entropy_models import EntropyModel
from torch import Tensor, nn


class Quantizer(nn.Module, ABC):
    """Quantizes in evaluation, and in training does what gradients can pass instead.

              ┌─ training:   relaxed(y, means) ──┐
        y ────┤                                  ├──► y_tilde, y_hat
              └─ evaluation: rounded(y, means) ──┘

    A quantizer of one's own says what :meth:`relaxed` does, and may say something else than
    rounding for :meth:`rounded`. What it gives has the shape and dtype of ``y``. Modules hold no
    parameters or buffers that a codec would have to store, unless they are learned.
    """

    def forward(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """A latent ``y`` of any shape, quantized about ``means``, which broadcast against it."""
        return self.relaxed(y, means) if self.training else self.rounded(y, means)

    @abstractmethod
    def relaxed(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """What stands for :meth:`rounded` in training: ``y_tilde``, with gradients for ``y``."""

    def rounded(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """The integers nearest to ``y - means``, plus ``means``; ties go to the even integer."""
        return torch.round(y) if means is None else torch.round(y - means) + means

    def reseed(self, seed: int) -> None:
        """Start what it draws anew; a training loop does so at every step."""


class _Quantize(Protocol):
    """``quantize`` of CompressAI's entropy models."""

    def __call__(self, inputs: Tensor, mode: str, means: Tensor | None = None) -> Tensor: ...


def install(quantizer: Quantizer, model: nn.Module) -> None:
    """Let a quantizer take the place of the noise that entropy models add in training.

    That is, of ``EntropyModel.quantize(y, "noise", means)``; what a model rounds, as in evaluation,
    stays. The quantizer becomes a submodule of each entropy model in ``model``.
    """
    for module in list(model.modules()):
        if isinstance(module, EntropyModel):
            own = type(module).quantize.__get__(module)
            module.quantizer = quantizer
            module.quantize = partial(_quantize, own, quantizer)


def _quantize(
    own: _Quantize, quantizer: Quantizer, inputs: Tensor, mode: str, means: Tensor | None = None
) -> Tensor:
    return quantizer(inputs, means) if mode == "noise" else own(inputs, mode, means)
