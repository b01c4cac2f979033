"""Rounding whose gradient is the identity (Theis et al. 2017)."""

from torch import Tensor

from latentopt.quantizers.base import Quantizer


class StraightThrough(Quantizer):
    """In training, rounds as in evaluation, while gradients pass as if it had not.

    >>> import torch
    >>> y = torch.tensor([0.2, 1.8], requires_grad=True)
    >>> y_hat = StraightThrough()(y, means=torch.tensor(0.5))
    >>> y_hat.square().sum().backward()
    >>> y_hat.detach(), y.grad  # 2 y_hat
    (tensor([0.5000, 1.5000]), tensor([1., 3.]))
    """

    def relaxed(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """The rounded latent; its gradient for ``y`` is the identity, for ``means`` zero."""
        return y + (self.rounded(y, means) - y).detach()
