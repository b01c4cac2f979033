"""The entropy model of feature maps: convolutions on a tensor of ones (Löhdefink et al. 2022).

What a convolution makes of ones is the same everywhere, but for the border, where it sees the zeros
beyond. So there is a distribution for each map, and another one for its edges and corners.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

RADIUS = 1
"""Elements from the border within which distributions differ."""


class MapPrior(nn.Module):
    """Probabilities of each map's symbols, for images of any size.

    >>> import torch
    >>> prior = MapPrior(maps=2, symbols=8)
    >>> log_p = prior(3, 5)
    >>> log_p.shape, torch.allclose(log_p.exp().sum(dim=1), torch.ones(2, 3, 5))
    (torch.Size([2, 8, 3, 5]), True)

    Args:
        maps, symbols: see :class:`latentopt.quantizers.OneHotMax`.
        hidden: channels between the two convolutions.
    """

    def __init__(self, maps: int, symbols: int, hidden: int = 16):
        super().__init__()
        self.maps, self.symbols = maps, symbols
        self.layers = nn.Sequential(
            nn.Conv2d(1, hidden, 2 * RADIUS + 1, padding=RADIUS),
            nn.ReLU(),
            nn.Conv2d(hidden, maps * symbols, 1),
        )

    @torch.no_grad()
    def begin(self, symbols: Tensor) -> None:
        """Begin training with the frequencies of symbols (B, maps, h, w), but for the border."""
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        counts = one_hot(symbols.movedim(1, 0).flatten(1), self.symbols).sum(dim=1) + 1
        wanted = (counts / counts.sum(dim=1, keepdim=True)).log()
        side = 2 * RADIUS + 1
        last.bias += (wanted - self(side, side)[:, :, RADIUS, RADIUS]).flatten()

    def forward(self, height: int, width: int) -> Tensor:
        """Log-probabilities (maps, symbols, height, width) in nats."""
        ones = next(self.parameters()).new_ones(1, 1, height, width)
        logits: Tensor = self.layers(ones)[0].unflatten(0, (self.maps, self.symbols))
        return logits.log_softmax(dim=1)
