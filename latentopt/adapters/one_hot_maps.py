"""Codecs of one-hot maps: one latent of symbols, whose probabilities are those of its maps."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Places, as_numpy, cpu_copy
from latentopt.densities import SymbolDensity
from latentopt.latents import AtOnce, Prior, Walk
from latentopt.quantizers import MapPrior, OneHotMax

_KINDS = 4
"""Of rows, as of columns: the first one, one within, the last one, one that is both."""


def is_one_hot(model: nn.Module) -> bool:
    """Whether a model has one-hot maps between ``g_a`` and ``g_s``, and their ``prior``."""
    parts = (getattr(model, name, None) for name in ("quantizer", "prior", "g_a", "g_s"))
    kinds = (OneHotMax, MapPrior, nn.Module, nn.Module)
    return all(isinstance(part, kind) for part, kind in zip(parts, kinds))


class OneHotAdapter(Adapter):
    """``OneHotCodec`` (Löhdefink et al. 2022); its maps come in the order of their training.

    A level is a map, at one of 16 kinds of places: what the entropy model says depends on whether
    there is a row above and below, a column to the left and to the right.
    """

    in_order = True

    @property
    def places(self) -> Places | None:
        """None: it has no coder of its own."""
        return None

    def analysis(self, x: Tensor) -> Tensor:
        """Symbols (B, maps, h, w) of images (B, 3, H, W), as numbers."""
        y = super().analysis(x)
        # A NaN, by which tiles learn how far a transform sees, must not get lost in an argmax.
        return self.model.quantizer.symbols_of(y).to(y) + 0 * y.sum(dim=1, keepdim=True)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """Images of symbols (B, maps, h, w), -1 for those of maps that did not arrive."""
        symbols = y_hat.detach().nan_to_num().round()
        features = self.model.quantizer.restored(symbols)
        return super().synthesis(features + 0 * y_hat.sum(dim=1, keepdim=True))

    def deeper(self, y: Tensor) -> list[Tensor]:
        """None."""
        return []

    def make_densities(self) -> tuple[SymbolDensity]:
        """See :meth:`Adapter.make_densities`."""
        return (SymbolDensity(_log_p(self.model.prior)),)

    def walk(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        """See :meth:`Adapter.walk`: at once."""
        kinds = _KINDS * _kinds(grid[0])[:, None] + _kinds(grid[1])  # (h, w)
        maps = np.arange(self.model.quantizer.maps)[:, None, None]
        levels = (_KINDS**2 * maps + kinds).astype(np.int16)
        return AtOnce(Prior(levels.shape, levels.ravel(), np.zeros(levels.size, np.float32)))

    def decoder_parts(self) -> list[nn.Module]:
        """See :meth:`Adapter.decoder_parts`."""
        return [self.model.prior, self.model.quantizer.after, *self.synthesis_parts]


def _kinds(count: int) -> NDArray[np.int64]:
    """(count,) the kind of each row, or column, of so many."""
    if count == 1:
        return np.array([_KINDS - 1])
    return np.array([0, *[1] * (count - 2), 2])


@torch.no_grad()
def _log_p(prior: nn.Module) -> NDArray[np.float64]:
    """(levels, symbols) log-probabilities of each map at each kind of place, in float64."""
    exact = cpu_copy(prior)
    rows = [torch.cat([exact(height, width) for width in (3, 1)], dim=3) for height in (3, 1)]
    found = torch.cat(rows, dim=2)  # (maps, symbols, 4, 4)
    return as_numpy(found.permute(0, 2, 3, 1).flatten(0, 2))
