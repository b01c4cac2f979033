"""One-hot max as a quantizer: feature maps of symbols, of which the first ones make an image.

Equations are those of *Adaptive Bitrate Quantization Scheme Without Codebook for Learned Image
Compression* (Löhdefink et al., CVPR workshops 2022).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from latentopt.densities import ABSENT
from latentopt.errors import InputError
from latentopt.quantizers.base import Quantizer

_RECTIFIED, _SHARPNESS = 3.0, 2.0
"""At the beginning of training: standard deviations below which numbers are rectified, and those
of the logits."""


class OneHotMax(Quantizer):
    """Feature maps whose elements are one of a few symbols each, without a codebook.

        y ─► 1x1 ─► (maps, symbols) ─► -beta * relu ─► one-hot of the largest ─► 1x1 ─► y_hat
                                                       (backwards: of softmax)

    The convolutions are independent of each other: the second one gives what each symbol of each
    map adds to ``y_hat``, and a map that is absent adds nothing.

    >>> torch.manual_seed(0) and None
    >>> quantizer = OneHotMax(channels=4, maps=2, symbols=8)
    >>> symbols = quantizer.symbols_of(torch.rand(1, 4, 3, 3))
    >>> symbols.shape, bool((symbols < 8).all()), quantizer.restored(symbols).shape
    (torch.Size([1, 2, 3, 3]), True, torch.Size([1, 4, 3, 3]))

    Args:
        channels: of ``y``.
        maps: feature maps, C_Z in the paper.
        symbols: of each map, S in the paper.

    Raises:
        InputError: there is no map, or fewer symbols than two.
    """

    def __init__(self, channels: int, maps: int, symbols: int):
        super().__init__()
        if maps < 1 or symbols < 2:
            raise InputError(f"{maps} maps of {symbols} symbols: at least 1 map of 2 symbols")
        self.maps, self.symbols = maps, symbols
        self.register_buffer("shape", torch.tensor([maps, symbols]))  # which no weight tells
        self.before = nn.Conv2d(channels, maps * symbols, 1)
        self.after = nn.Conv2d(maps * symbols, channels, 1)
        self.log_beta = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def begin(self, y: Tensor) -> None:
        """Begin training where all symbols occur, by latents ``y`` (B, channels, h, w).

        Where several of an element's numbers are rectified they are equal, and the first symbol is
        taken. So numbers get a spread of one, and biases below which hardly one is rectified; beta
        makes softmax neither flat nor hard.
        """
        assert self.before.bias is not None
        numbers = torch.conv2d(y, self.before.weight)
        spread, mean = numbers.std(dim=(0, 2, 3)), numbers.mean(dim=(0, 2, 3))
        self.before.weight /= spread[:, None, None, None]
        self.before.bias.copy_(_RECTIFIED - mean / spread)
        self.log_beta.fill_(math.log(_SHARPNESS))

    def logits(self, y: Tensor) -> Tensor:
        """(B, maps, symbols, h, w) of a latent (B, channels, h, w): eq. 1 and 2."""
        split = self.before(y).unflatten(1, (self.maps, self.symbols))
        return -self.log_beta.exp() * torch.relu(split)

    def hot(self, y: Tensor) -> Tensor:
        """(B, maps, symbols, h, w), a one at each largest logit; the gradient is softmax's."""
        logits = self.logits(y)
        soft = logits.softmax(dim=2)
        hard = torch.zeros_like(soft).scatter_(2, logits.argmax(dim=2, keepdim=True), 1.0)
        return hard + (soft - soft.detach())

    def spread_out(self, hot: Tensor) -> Tensor:
        """``y_hat`` (B, channels, h, w) of one-hot maps (B, maps, symbols, h, w): eq. 3."""
        y_hat: Tensor = self.after(hot.flatten(1, 2))
        return y_hat

    def symbols_of(self, y: Tensor) -> Tensor:
        """Number (B, maps, h, w) of the symbol of each element of each map."""
        return self.logits(y).argmax(dim=2)

    def restored(self, symbols: Tensor) -> Tensor:
        """``y_hat`` (B, channels, h, w) of symbols (B, maps, h, w), -1 where there is none."""
        hot = one_hot((symbols.long() - ABSENT).clamp(0, self.symbols), self.symbols + 1)[..., 1:]
        return self.spread_out(hot.movedim(-1, 2).to(self.after.weight))

    def relaxed(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """``y_hat``, with gradients for ``y``; about means, where there are some."""
        if means is not None:
            return self.relaxed(y - means) + means
        return self.spread_out(self.hot(y))

    def rounded(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """``y_hat`` as it is decoded; likewise."""
        if means is not None:
            return self.rounded(y - means) + means
        return self.restored(self.symbols_of(y))


def kept_maps(q: Tensor, maps: int, least: int) -> Tensor:
    """How many maps are kept at rates ``q``, any shape, from 0 to 1: at least one (eq. 4).

    >>> kept_maps(torch.tensor([0.0, 0.5, 1.0]), maps=16, least=8)
    tensor([ 8, 12, 16])
    """
    return (least + q * (maps - least)).ceil().long().clamp(1, maps)


def is_kept(kept: Tensor, maps: int) -> Tensor:
    """(B, maps) of ``kept`` (B,): 1 for the first maps, 0 for the others (eq. 5)."""
    return (torch.arange(maps, device=kept.device) < kept[:, None]).float()
