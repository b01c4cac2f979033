"""The contract of quantizers, and how one takes its place in a model of CompressAI's."""

from abc import ABC, abstractmethod
from collections.abc import Callable
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

    def priced(self, y_hat: Tensor, likelihood: Callable[[Tensor], Tensor]) -> Tensor:
        """Where, in training, the rate of what :meth:`relaxed` gave is computed: there.

        Args:
            y_hat: what it gave, which goes on to the synthesis whatever is said here.
            likelihood: of such a latent, element by element.
        """
        return y_hat

    def reseed(self, seed: int) -> None:
        """Start what it draws anew; a training loop does so at every step."""


class _Quantize(Protocol):
    """``quantize`` of CompressAI's entropy models."""

    def __call__(self, inputs: Tensor, mode: str, means: Tensor | None = None) -> Tensor: ...


def install(quantizer: Quantizer, model: nn.Module) -> None:
    """Let a quantizer take the place of the noise that entropy models add in training.

    That is, of ``EntropyModel.quantize(y, "noise", means)``; what a model rounds, as in evaluation,
    stays. A quantizer that says where the rate is computed is asked in training. It becomes a
    submodule of each entropy model in ``model``.
    """
    prices = type(quantizer).priced is not Quantizer.priced
    for module in list(model.modules()):
        if isinstance(module, EntropyModel):
            kind = type(module)
            module.quantizer = quantizer
            module.quantize = partial(_quantize, kind.quantize.__get__(module), quantizer)
            if prices:
                own = kind._likelihood.__get__(module)
                module._likelihood = partial(_likelihood, own, quantizer)


def remove(model: nn.Module) -> None:
    """Undo :func:`install`: such a model is the codec's own class again, as adapters want it."""
    for module in list(model.modules()):
        if isinstance(module, EntropyModel):
            for name in ("quantizer", "quantize", "_likelihood"):
                if name in vars(module) or name in module._modules:
                    delattr(module, name)


def _quantize(
    own: _Quantize, quantizer: Quantizer, inputs: Tensor, mode: str, means: Tensor | None = None
) -> Tensor:
    return quantizer(inputs, means) if mode == "noise" else own(inputs, mode, means)


def _likelihood(
    own: Callable[..., Tensor | tuple[Tensor, ...]],
    quantizer: Quantizer,
    inputs: Tensor,
    *parameters: Tensor | None,
    **words: object,
) -> Tensor | tuple[Tensor, ...]:
    """CompressAI's ``_likelihood``; of a factorized density what it gives comes first of three."""
    if not quantizer.training or words:  # with words it is for tables
        return own(inputs, *parameters, **words)

    def likelihood(at: Tensor) -> Tensor:
        found = own(at, *(None if p is None else p.detach() for p in parameters))
        return found if isinstance(found, Tensor) else found[0]

    return own(quantizer.priced(inputs, likelihood), *parameters)
