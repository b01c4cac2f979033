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
from latentopt.quantizers.beginnings import Components, clusters, components, shared_out

_ROOM = 2.0
"""At the beginning of training: numbers are rectified where they are as far below those of all
latents seen as these spread."""


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
    def begin(self, y: Tensor, found: Components | None = None) -> None:
        """Begin training as a vector quantizer of latents ``y`` (B, channels, h, w).

        From random weights there is no gradient but towards the symbol that is most frequent by
        chance, and training ends with one symbol for each map. The distances of a latent to
        centres of clusters differ by what is linear in the latent, so that there are convolutions
        that find the nearest one. A map is given neighbouring principal components, the first map
        those that vary most, and softmax is as soft as its clusters are wide.

        Args:
            y: latents, of many positions.
            found: their components, K of them; None: those of :func:`components`.

        Raises:
            InputError: fewer components vary than there are maps, latents are all alike, or no
                numbers.
        """
        if not (y.numel() and torch.isfinite(y).all()):
            raise InputError("latents are no numbers, or none: there is nothing to begin with")
        found = found or components(y)
        if len(found.variance) < self.maps:
            raise InputError(f"{len(found.variance)} channels for {self.maps} maps: too few")
        if not float(found.variance.max()) > 0:
            raise InputError("latents are all alike: there is nothing to begin with")
        found = found.varying()
        if len(found.variance) < self.maps:
            varying = (
                f"latents vary in {len(found.variance)} directions, too few for {self.maps} maps"
            )
            raise InputError(f"{varying}: some would be empty")
        assert self.before.bias is not None and self.after.bias is not None
        groups, each = shared_out(found.variance, self.maps, math.log2(self.symbols)), found.of(y)
        for number in range(self.maps):
            own = groups == number
            before, level, after = _nearest(each[:, own], self.symbols)
            rows = slice(number * self.symbols, (number + 1) * self.symbols)
            self.before.weight[rows] = (before @ found.forth[own])[:, :, None, None]
            self.before.bias[rows] = level - before @ found.forth[own] @ found.mean
            self.after.weight[:, rows] = (found.back[:, own] @ after)[:, :, None, None]
        self.after.bias.copy_(found.centre)
        sharpness = self.before.weight.square().mean().sqrt()  # steps of training are of weights
        self.before.weight /= sharpness
        self.before.bias /= sharpness
        self.log_beta.copy_(sharpness.log())

    def logits(self, y: Tensor) -> Tensor:
        """(B, maps, symbols, h, w) of a latent (B, channels, h, w): eq. 1 and 2."""
        return self._logits(y).movedim((3, 4), (1, 2))

    def _logits(self, y: Tensor) -> Tensor:
        """The same as (B, h, w, maps, symbols): symbols side by side, as softmax is fast on."""
        split = self.before(y).movedim(1, -1).unflatten(-1, (self.maps, self.symbols))
        return -self.log_beta.exp() * torch.relu(split)

    def hot(self, y: Tensor) -> Tensor:
        """(B, maps, symbols, h, w), a one at each largest logit; the gradient is softmax's."""
        logits = self._logits(y)
        soft = logits.softmax(dim=-1)
        hard = torch.zeros_like(soft).scatter_(-1, logits.argmax(dim=-1, keepdim=True), 1.0)
        return (hard + (soft - soft.detach())).movedim((3, 4), (1, 2))

    def spread_out(self, hot: Tensor) -> Tensor:
        """``y_hat`` (B, channels, h, w) of one-hot maps (B, maps, symbols, h, w): eq. 3."""
        y_hat: Tensor = self.after(hot.flatten(1, 2))
        return y_hat

    def symbols_of(self, y: Tensor) -> Tensor:
        """Number (B, maps, h, w) of the symbol of each element of each map."""
        return self._logits(y).argmax(dim=-1).movedim(-1, 1)

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


def _nearest(points: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (count, d) and biases of which the smallest is of the nearest cluster's centre.

    And the centres (d, count) of points (n, d). Squared distances, with what :func:`clusters` adds
    to them, are in units of twice the mean one, without the part that all have in common.
    """
    centres, cost = clusters(points, count)
    squared = torch.cdist(points, centres).square()
    nearest = (squared + cost).argmin(dim=1, keepdim=True)
    unit = 2 * float(squared.gather(1, nearest).mean()) + 1e-12
    weight, level = -2 * centres / unit, (centres.square().sum(dim=1) + cost) / unit
    lowest = float((points @ weight.T + level).min())
    return weight, level + _ROOM * abs(lowest), centres.T


def kept_maps(q: Tensor, maps: int, least: int) -> Tensor:
    """How many maps are kept at rates ``q``, any shape, from 0 to 1: at least one (eq. 4).

    >>> kept_maps(torch.tensor([0.0, 0.5, 1.0]), maps=16, least=8)
    tensor([ 8, 12, 16])
    """
    return (least + q * (maps - least)).ceil().long().clamp(1, maps)


def is_kept(kept: Tensor, maps: int) -> Tensor:
    """(B, maps) of ``kept`` (B,): 1 for the first maps, 0 for the others (eq. 5)."""
    return (torch.arange(maps, device=kept.device) < kept[:, None]).float()
